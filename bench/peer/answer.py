"""The worker's side of bench/pairs/worker.ts: answers each JSON line on stdin with another."""

import json
import os
import sys
import traceback


def answer(handlers):
    # Whatever else prints must not come between the answers.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        ask = request.pop("ask")
        try:
            reply = {"value": handlers[ask](**request)}
        except Exception:
            reply = {"error": traceback.format_exc()}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
