"""What a page is made of, for the tests of pages."""

from html.parser import HTMLParser


class Reader(HTMLParser):
    """Collects elements, and checks that they close in order. text: all of it; shown: without styles and scripts."""

    VOID = frozenset({"meta", "link", "img", "input", "path", "br", "rect"})

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text, self.shown = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if not {"style", "script"} & set(self.open):
            self.shown.append(data)
