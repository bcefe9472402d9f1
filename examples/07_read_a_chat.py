"""Read the chat of a lesson: the tone of every text, and of the class.

    python examples/07_read_a_chat.py [chat.txt]

You learn: `analyze` takes files of writing too. Names become pseudonyms, private messages are left
out, and a class is described from five people on. Without an argument a small chat is made first.
"""

import sys
from pathlib import Path

import classpulse

CHAT = """\
00:02:10 From Ms Hopper to Everyone : please open page 3, task 2
00:03:05 From Ada to Everyone : I don't get step 3 at all
00:03:20 From Ben : this is so annoying
00:04:02 From Dia to Everyone : why does the sign change there?
00:05:30 From Ada to Everyone : oh wow, now it works! thank you so much
00:05:44 From Eli to Everyone : that was great, I love this kind of task
00:06:01 From Flo to Everyone : I am still afraid of the test tomorrow
"""


def main(chat: Path) -> None:
    session = classpulse.analyze(classpulse.Writing(chat, without=("Ms Hopper",)))
    rows = (session.readings[name] for name in ("t", "subject", "text-7"))
    for t, subject, label in zip(*rows, strict=True):
        print(f"{t:5.0f} s  {subject}  {label or 'nothing said'}")
    shares = session.summary["writing"]["overall"]["text-7"]
    if shares is not None:  # None when fewer than five people wrote
        tone = max(shares, key=lambda name: shares[name]["value"])
        print(f"the class, most often: {tone} ({shares[tone]['value']:.2f})")


if __name__ == "__main__":
    if not sys.argv[1:]:
        Path("chat.txt").write_text(CHAT, encoding="utf-8")
    main(Path((*sys.argv[1:], "chat.txt")[0]))
