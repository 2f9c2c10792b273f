"""How long previews take over HTTP while something is dragged: median and 95th percentile.

auteur serve --preset warp &
python benchmarks/preview_latency.py me.jpg talk.wav

Every preview has another curve, as while a keyframe is dragged; the next is sent when the last has arrived.
It needs an HTTP client: pip install httpx2.
"""

import argparse
import time
from pathlib import Path

import httpx2 as httpx
import numpy as np

LOOKS = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("portrait", type=Path)
    parser.add_argument("speech", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:7860")
    arguments = parser.parse_args()
    client = httpx.Client(base_url=arguments.url, timeout=120)

    def upload(path: Path) -> dict:
        answer = client.post("/v1/uploads", files={"file": (path.name, path.read_bytes())})
        answer.raise_for_status()
        return answer.json()

    speech = upload(arguments.speech)
    pair = {"portrait": upload(arguments.portrait)["id"], "speech": speech["id"]}

    def look(number: int, quality: str) -> None:
        moment = (number % 50) / 50 * speech["duration_sec"]
        curves = {"AU12": [[0, 0], [2, number % 10 / 10]], "AU4": [[0, 0.1], [3, 0.5]]}
        body = {**pair, "curves": curves, "time_sec": moment, "quality": quality, "stream": "benchmark"}
        client.post("/v1/preview", json=body).raise_for_status()

    look(0, "small")
    for quality in ("landmarks", "small"):
        taken_ms = []
        for number in range(LOOKS):
            started = time.perf_counter()
            look(number, quality)
            taken_ms.append(1000 * (time.perf_counter() - started))
        low, high = np.percentile(taken_ms, [50, 95])
        print(f"{quality}: median {low:.0f} ms, 95th percentile {high:.0f} ms, {LOOKS} previews")


if __name__ == "__main__":
    main()
