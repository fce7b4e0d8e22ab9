class Pages:
    def __init__(self, world):
        self.world = world

    def answer(self, method, path, query, body):
        return 404, {"Content-Type": "text/plain"}, "not found"
