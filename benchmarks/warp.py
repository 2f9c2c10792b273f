"""Frames per second of the portrait warp, for one and two threads and several sizes of picture and face.

    python benchmarks/warp.py [--frames 40]
"""

import argparse
import math
import time

import torch

from auteur.synthesis.warp import PortraitWarper
from auteur.synthesis.warp.demo import demo_landmarks, demo_picture

CASES = ((512, 110.0), (512, 60.0), (1024, 200.0), (1920, 400.0))
"""Side of the picture and distance between the eyes, pixels."""


def speaking(landmarks: torch.Tensor, frames: int, eye_distance_px: float) -> torch.Tensor:
    """Landmarks [frames, 478, 3] of a face that speaks, blinks and turns its head a little."""
    sequence = landmarks.repeat(frames, 1, 1)
    lower = (landmarks[:, 1] > landmarks[14, 1]).float()
    for index in range(frames):
        phase = 2 * math.pi * index / 12
        sequence[index, :, 1] += lower * 0.12 * eye_distance_px * (1 + math.sin(phase))
        sequence[index, :, 0] += 0.03 * eye_distance_px * math.sin(0.3 * phase)
    return sequence


def frames_per_second(side_px: int, eye_distance_px: float, threads: int, frames: int) -> float:
    torch.set_num_threads(threads)
    portrait = demo_picture(side_px)
    landmarks = demo_landmarks(side_px, eye_distance_px)
    warper = PortraitWarper(portrait, landmarks)
    sequence = speaking(landmarks, frames, eye_distance_px)
    warper.render(sequence[:2])
    start = time.perf_counter()
    for target in sequence:
        warper.render(target[None])
    return frames / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=40)
    frames = parser.parse_args().frames
    print("picture  eyes    1 thread  2 threads   (frames/s)")
    for side_px, eye_distance_px in CASES:
        rates = [frames_per_second(side_px, eye_distance_px, threads, frames) for threads in (1, 2)]
        print(f"{side_px:5d}²  {eye_distance_px:5.0f} px  {rates[0]:8.1f}  {rates[1]:9.1f}")


if __name__ == "__main__":
    main()
