def add_parser(s):
    s.add_parser("warmup")
