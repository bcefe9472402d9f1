"""Students' writing: posts, chats and transcripts from files, with times and pseudonyms."""
