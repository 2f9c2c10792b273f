"""Frames per second of the portrait warp, for one and two threads and several sizes of picture and face.

python benchmarks/warp.py [--frames 40]
"""

import argparse
import math
import time

import torch

from auteur.synthesis.warp import PortraitWarper
from auteur.synthesis.warp.mesh import generic_face

CASES = ((512, 60.0), (512, 110.0), (1024, 200.0), (1920, 400.0))
"""Side of the picture and distance between the eyes, pixels."""


def speaking(landmarks: torch.Tensor, frames: int, eye_distance_px: float) -> torch.Tensor:
    """Landmarks [frames, 478, 3] of a face that speaks and sways."""
    sequence = landmarks.repeat(frames, 1, 1)
    is_lower = (landmarks[:, 1] > landmarks[13, 1] + 0.5).float()
    for index in range(frames):
        phase = 2 * math.pi * index / 12
        sequence[index, :, 1] += is_lower * 0.12 * eye_distance_px * (1 + math.sin(phase))
        sequence[index, :, 0] += 0.03 * eye_distance_px * math.sin(0.3 * phase)
    return sequence


def seconds_per_frame(side_px: int, eye_distance_px: float, threads: int, frames: int) -> tuple[float, float]:
    """Wall-clock and processor seconds that a frame takes when frames are requested one by one."""
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    portrait = torch.randint(0, 256, (3, side_px, side_px), dtype=torch.uint8, generator=generator)
    middle = torch.tensor([0.5 * side_px, 0.42 * side_px, 0.0])
    landmarks = generic_face() * eye_distance_px + middle
    warper = PortraitWarper(portrait, landmarks)
    sequence = speaking(landmarks, frames, eye_distance_px)
    warper.render(sequence[:3])
    wall, processor = time.perf_counter(), time.process_time()
    for target in sequence:
        warper.render(target[None])
    return (time.perf_counter() - wall) / frames, (time.process_time() - processor) / frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=40)
    frames = parser.parse_args().frames
    print("picture    eyes    threads  frames/s  processor ms/frame")
    for side_px, eye_distance_px in CASES:
        for threads in (1, 2):
            wall, processor = seconds_per_frame(side_px, eye_distance_px, threads, frames)
            case = f"{side_px:5d} px {eye_distance_px:5.0f} px  {threads:7d}"
            print(f"{case}  {1 / wall:8.1f}  {1000 * processor:8.1f}")


if __name__ == "__main__":
    main()
