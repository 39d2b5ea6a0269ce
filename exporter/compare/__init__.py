"""Choose: models x recipes x input sizes x formats, exported, judged and timed side by side."""
