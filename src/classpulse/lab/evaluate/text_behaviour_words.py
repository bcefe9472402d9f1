"""Words, phrases and pairs of sentences from which the cases of `text_behaviour_cases` are made.

All written for this project. Nothing here is trained on.
"""

FEELINGS: dict[str, tuple[str, ...]] = {
    "angry": ("angry", "furious", "annoyed", "mad", "outraged", "irritated"),
    "disgust": ("disgusted", "grossed out", "sickened", "revolted", "repulsed"),
    "fear": ("scared", "afraid", "terrified", "frightened", "nervous", "anxious"),
    "happy": ("happy", "glad", "delighted", "thrilled", "joyful", "excited"),
    "sad": ("sad", "unhappy", "heartbroken", "miserable", "depressed", "sorrowful"),
    "surprise": ("surprised", "amazed", "astonished", "stunned"),
}
"""Label of `TEXT_7` -> words that fit into "I am ... about it"; neutral has none."""

THINGS = (
    "the math test", "the presentation", "the group work", "the science project", "the seminar",
    "the swimming lesson", "the history quiz", "the spelling test", "the art class",
    "the lab session", "the oral exam", "the reading hour",
)  # fmt: skip

PHRASES: dict[str, tuple[str, ...]] = {
    "angry": (
        "They cheated in {thing} and got away with it, that is so unfair!",
        "Stop messing with {thing}, I've had enough of you!",
        "{thing} makes me want to scream and hit the table.",
    ),
    "disgust": (
        "Someone threw up right next to me during {thing}, yuck.",
        "eww, there was snot all over {thing}, so gross",
        "The smell during {thing} made me sick to my stomach.",
    ),
    "fear": (
        "My hands shake and I can't sleep when I think of {thing}.",
        "i'm freaking out about {thing}, what if it goes wrong",
        "Please don't make me do {thing}, I panic every time.",
    ),
    "happy": (
        "Yay, {thing} went really well, best day ever!",
        "I love {thing}, it was so much fun",
        "Thank you so much for your help with {thing}!",
    ),
    "neutral": (
        "{thing} starts at ten in room 204.",
        "There are four parts in {thing}.",
        "I put the notes for {thing} into the folder.",
    ),
    "sad": (
        "I cried all evening because of {thing}.",
        "Nobody wanted to be with me in {thing}, I feel so alone.",
        "i miss my old friends, {thing} is so lonely without them",
    ),
    "surprise": (
        "What?! I never expected that of {thing}!",
        "Wow, I had no idea about {thing}, that came out of nowhere!",
        "no way, {thing} is TODAY??",
    ),
}
"""Label -> what learners say without naming a feeling."""

EMOJI: dict[str, str] = {
    "angry": "😡🤬😠",
    "disgust": "🤢🤮",
    "fear": "😱😨😰",
    "happy": "😊🎉😍",
    "sad": "😢😭💔",
    "surprise": "😲😮",
}

NOTHING = ("", " ", "\n\n", "\t", ".", "?!", "...", "-", "42", "3 + 4 = 7", "😀", "🎉🎉🎉",
           "\u200b", "\ufeff", "_", "()", "👍🏽", "100 %")  # fmt: skip
"""Texts without a word."""

ODD = (
    "I am happy \x00 about it", "\x00\x01\x02 \x1b[31m what is this", "a" * 10_000,
    "why " * 3_000, "\n" * 5_000 + "I am sad", "I am h\u0335a\u0336p\u0337p\u0338y today",
    "\u202eI am so angry about this\u202c", "cut in the middle of an emoji \ud83d",
    "\udc00 starts with half a character", '{"text": "I am glad", "label": null}',
    "=SUM(A1:A9) I am glad", "%s %d %n I am scared", "I\u2028am\u2029sad", "\U0010ffff am I here",
    "🏳️‍🌈 👩🏽‍🏫 I am proud of us", "ﬁnally ﬂying: ligatures make me ½ happy",
)  # fmt: skip
"""Texts that break careless programs; two hold half a surrogate pair, as cut-off emoji do."""

OTHER_LANGUAGES = (
    "Estoy muy contento porque aprobé el examen.", "No entiendo el tercer paso del ejercicio.",
    "Je suis très content de ma note aujourd'hui.", "J'ai peur de parler devant la classe.",
    "Ich bin so glücklich über meine Prüfung.", "Ich verstehe die Hausaufgabe überhaupt nicht.",
    "Sono molto felice di questa lezione.", "Ho paura dell'interrogazione di domani.",
    "Estou muito triste com a minha nota.", "Não percebi nada da aula de hoje.",
    "Ik ben heel boos over mijn cijfer.", "Ik snap deze opdracht helemaal niet.",
    "Jestem bardzo smutny z powodu oceny.", "Boję się jutrzejszego egzaminu.",
    "Sınavı geçtiğim için çok mutluyum.", "Bu dersi hiç anlamadım.",
    "Jag är jätteglad över mitt betyg.", "Olen todella iloinen tästä kokeesta.",
    "Nagyon félek a holnapi vizsgától.", "Sunt foarte supărat pe colegii mei.",
    "Tôi rất vui vì đã thi đỗ.", "Saya sangat sedih karena nilai saya.",
    "Ninafurahi sana kwa sababu nimefaulu mtihani.", "Masaya ako dahil pumasa ako.",
    "Я очень рад, что сдал экзамен.", "Я боюсь завтрашней контрольной.",
    "Είμαι πολύ χαρούμενος σήμερα.", "אני מאוד שמח היום.", "أنا سعيد جدا لأنني نجحت.",
    "من از امتحان فردا می‌ترسم.", "मैं आज बहुत खुश हूँ।", "আমি আজ খুব খুশি।",
    "我今天非常高兴。", "我不明白第三步。", "今日はとても嬉しいです。", "나는 오늘 정말 행복해요.",
)  # fmt: skip

AMERICAN: dict[str, str] = {
    "maths": "math", "favourite": "favorite", "realised": "realized", "colour": "color",
    "colours": "colors", "behaviour": "behavior", "practising": "practicing", "centre": "center",
    "organised": "organized", "programme": "program", "mum": "mom", "apologised": "apologized",
    "honour": "honor", "humour": "humor", "travelled": "traveled", "neighbour": "neighbor",
    "cancelled": "canceled", "theatre": "theater", "learnt": "learned", "recognised": "recognized",
}  # fmt: skip

BRITISH_SENTENCES = (
    "I realised that maths is my favourite subject and I love it.",
    "My mum was so proud that she cried.",
    "I hate the colour of the new theatre, it looks disgusting.",
    "The trip was cancelled and I am really sad about it.",
    "His behaviour in the computer centre makes me furious.",
    "We travelled to the theatre and it was wonderful.",
    "I have been practising all week and I am still scared.",
    "My neighbour copied my programme and I am angry with him.",
    "She apologised and I was so surprised.",
    "It is an honour to be in this class, I am very happy.",
    "I learnt nothing and I am afraid of the maths exam.",
    "The centre has organised a course in colour theory.",
    "I love the humour of our teacher, we laughed a lot.",
    "Nobody recognised my work and that made me cry.",
    "The programme starts with two lessons of maths.",
    "The colours on the mouldy bread in the centre were gross.",
    "I never realised that my neighbour is a professor, wow!",
    "I was shocked when they cancelled my favourite course.",
)

DIALECT: tuple[tuple[str, str], ...] = (
    ("I am not scared of the test.", "I ain't scared of the test."),
    ("I am not happy about my grade.", "I ain't happy about my grade."),
    ("She is always complaining about me and I am tired of it.",
     "She be complaining about me and I'm tired of it."),
    ("He is lying and it makes me angry.", "He lyin and it make me angry."),
    ("We are so happy that we won!", "We so happy we won!"),
    ("I did not get anything for my birthday and I am sad.",
     "I ain't get nothing for my birthday and I'm sad."),
    ("They are always laughing at me.", "They stay laughing at me."),
    ("That food was really disgusting.", "That food was hella disgusting."),
    ("I am about to cry because of this homework.", "I'm finna cry cause of this homework."),
    ("You all are the best, I love this class.", "Y'all the best, I love this class."),
    ("I have been afraid of that dog for years.", "I been afraid of that dog."),
    ("Nobody told me anything and I am surprised.",
     "Nobody ain't told me nothing and I'm surprised."),
    ("He does not know the answer.", "He don't know the answer."),
    ("My brother's room smells bad, that is nasty.", "My brother room smell bad, that's nasty."),
    ("I am going to be so nervous tomorrow.", "I'ma be so nervous tomorrow."),
    ("She was just talking about her project.", "She was just talkin bout her project."),
    ("That test was easy and I am glad.", "That test was light work and I'm glad."),
    ("This really makes me mad.", "This deadass make me mad."),
)  # fmt: skip
"""Standard American English and the same in features of African American English (Green 2002)."""

CONTRACTIONS: dict[str, str] = {
    "I'm": "I am", "it's": "it is", "don't": "do not", "didn't": "did not", "can't": "cannot",
    "won't": "will not", "couldn't": "could not", "wouldn't": "would not", "I've": "I have",
    "doesn't": "does not", "isn't": "is not", "they're": "they are", "that's": "that is",
}  # fmt: skip

CHAT: dict[str, str] = {
    "you": "u", "are": "r", "because": "bc", "please": "pls", "thanks": "thx", "people": "ppl",
    "tomorrow": "tmrw", "really": "rly", "and": "n", "before": "b4", "about": "abt", "with": "w",
    "your": "ur", "the": "da", "something": "sth", "without": "w/o", "very": "v", "for": "4",
}  # fmt: skip

MARKUP = (
    "<p>{}</p>", "<b>{}</b>", "**{}**", "> {}", "# {}", "- {}", "`{}`", "{}<br/>",
    "<script>alert(1)</script>{}", "{} $x^2 + 1$", "&nbsp;{}&nbsp;", "[{}](https://example.org)",
    "<img src=x onerror=alert(1)> {}", "{}\n```\nprint(1)\n```", "'; DROP TABLE answers; -- {}",
    "{{ 7 * 7 }} {}", "<!-- comment -->{}", "\\textbf{{}}", "<div class='answer'>{}</div>",
)  # fmt: skip

ADDED = ("{} (see page 12)", "@teacher {}", "{} https://example.org/week3", "{} #homework",
         "[10:42] {}", "Re: {}", "Question 4: {}", "{} - sent from my phone")  # fmt: skip
"""What stands around a text without being part of what it says."""
