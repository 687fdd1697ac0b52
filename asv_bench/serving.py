"""Requests a second of one-row predictions over HTTP: nnjit, ONNX runtime and scikit-learn.

``python asv_bench/serving.py [--seconds 3] [--rounds 5]`` needs ``pip install fastapi uvicorn``,
and onnxruntime for its row. Each server is a process of its own on this machine's loopback
address with one worker; the client, another process, sends requests one after another on one
connection each of `--connections` and waits for the answers. Servers alternate; medians.
'nothing' answers without a prediction: what HTTP costs alone.
"""

import argparse
import json
import multiprocessing
import socket
import statistics
import time

KINDS = ("nothing", "nnjit", "ONNX runtime", "scikit-learn")
FEATURES = 64


def fitted(kind):
    """Return a function from one row, a list, to probabilities."""
    import numpy as np
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    if kind == "nothing":
        return lambda row: [0.1] * 10
    if kind == "scikit-learn":
        from sklearn.neural_network import MLPClassifier
    else:
        from nnjit import MLPClassifier
    model = MLPClassifier((100,), max_iter=30, tol=1.0, random_state=0).fit(X, y)
    if kind != "ONNX runtime":
        return lambda row: model.predict_proba(np.array([row], np.float32))[0].tolist()
    import onnxruntime

    from nnjit.interop import to_onnx

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(to_onnx(model).SerializeToString(), options)

    def predict(row):
        [p] = session.run(["probabilities"], {"X": np.array([row], np.float32)})
        return p[0].tolist()

    return predict


def app_of(predict):
    """Return the application of the guide's page on serving, around any function of a row."""
    from typing import Annotated

    from fastapi import FastAPI
    from pydantic import BaseModel, Field

    class Case(BaseModel):
        row: Annotated[list[float], Field(min_length=FEATURES, max_length=FEATURES)]

    app = FastAPI()

    @app.post("/predict")
    async def answer(case: Case) -> list[float]:
        return predict(case.row)

    return app


def serve(kind, port, ready):
    import uvicorn

    predict = fitted(kind)
    predict([0.0] * FEATURES)
    config = uvicorn.Config(app_of(predict), port=port, log_level="error", access_log=False)
    server = uvicorn.Server(config)
    ready.set()
    server.run()


def connect(port):
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            time.sleep(0.05)
    raise TimeoutError("the server does not answer")


def request():
    body = json.dumps({"row": [0.25] * FEATURES})
    head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def load(port, seconds, connections, results):
    """Send requests for so many seconds; put the number of answers a second."""
    sockets = [connect(port) for _ in range(connections)]
    message, answered = request(), 0
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        for one in sockets:
            one.sendall(message)
        for one in sockets:
            answer = one.recv(65536)
            while b"]" not in answer:
                answer += one.recv(65536)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(answer.decode())
            answered += 1
    results.put(answered / (time.perf_counter() - start))


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=4)
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ports, servers = {}, []
    for kind in KINDS:
        ports[kind], ready = free_port(), context.Event()
        servers.append(context.Process(target=serve, args=(kind, ports[kind], ready), daemon=True))
        servers[-1].start()
        if not ready.wait(120):
            raise TimeoutError(f"{kind}: no server")
        connect(ports[kind]).close()
    found = {kind: [] for kind in KINDS}
    for _ in range(arguments.rounds):
        for kind in KINDS:
            results = context.Queue()
            client = context.Process(
                target=load,
                args=(ports[kind], arguments.seconds, arguments.connections, results),
            )
            client.start()
            found[kind].append(results.get(timeout=60 + arguments.seconds))
            client.join()
    for server in servers:
        server.terminate()
    print("| answered by | requests a second | of those without a prediction |\n|---|--:|--:|")
    nothing = statistics.median(found["nothing"])
    for kind, rates in found.items():
        rate = statistics.median(rates)
        print(f"| {kind} | {rate:.0f} | {rate / nothing:.2f} |")


if __name__ == "__main__":
    main()
