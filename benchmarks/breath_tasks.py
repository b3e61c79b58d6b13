"""How much `steady` changes the picture of the same person, before the same wall, in the paper's four tasks.

    python benchmarks/breath_tasks.py [--people 3] [--gain 2.6] [--jobs 2]

A sits still, B and C turn the head at 10 and 30 degrees/s, D looks another way each second. `deepmag evaluate` has B
and C before black, as the paper has, where a moved shoulder changes less: PSNR tells of the wall as much as of the
method. PSNR and SSIM are against the original, of the last 25 of 30 s of 480x360 at 15 frames/s; gain is the chest's,
leak what is added to the head, over what is added to the chest.
"""

from __future__ import annotations

import argparse
from multiprocessing import get_context

import numpy as np
import torch

from deepmag.models.synthetic.clip import make_clip
from deepmag.models.weights import RESPIRATION
from deepmag.stream.evaluation.respiration.jobs import opened
from deepmag.stream.evaluation.respiration.methods import magnify_live
from deepmag.stream.evaluation.respiration.plan import full_plan
from deepmag.stream.evaluation.respiration.scores import score_motion, score_picture, truth_of

TASKS = ("A", "B", "C", "D")
SHOWN = ("psnr", "ssim", "gain", "leak")


def score(job):
    """Scores of one person in one task. job: number of the person, task, gain."""
    number, task, gain = job
    torch.set_num_threads(1)
    plan = full_plan(1)
    subject = plan.subjects[number]
    clip = make_clip(
        task, seed=subject.seed, melanin=subject.melanin, wall=subject.seed, breath_factor=gain,
        seconds=plan.seconds, rate=plan.rate, size=plan.size,
    )  # fmt: skip
    truth = truth_of(clip, plan.every)
    out = magnify_live("steady", clip.video, plan.rate, gain, ascender=opened(RESPIRATION, plan.iterations))
    out = out[:: plan.every]
    found = score_motion(truth, out, gain) | score_picture(truth, out, to_true=False)
    return [found[name] for name in SHOWN]


def main():
    """Score and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument("--gain", type=float, default=2.6, help="as in the report's Table 1")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    jobs = [(number, task, args.gain) for number in range(args.people) for task in TASKS]
    print(f"{'person':>6} {'task':>4} " + " ".join(f"{name:>7}" for name in SHOWN))
    found = []
    with get_context("spawn").Pool(args.jobs) as pool:
        for (number, task, _), scores in zip(jobs, pool.imap(score, jobs), strict=True):
            print(f"{number:6d} {task:>4} " + " ".join(f"{value:7.3f}" for value in scores), flush=True)
            found.append(scores)
    psnr = np.array(found)[:, SHOWN.index("psnr")].reshape(args.people, len(TASKS))
    for task, loss in zip(TASKS[1:], (psnr[:, :1] - psnr[:, 1:]).T, strict=True):
        print(f"A to {task}: loses {loss.mean():.2f} +- {loss.std():.2f} dB")


if __name__ == "__main__":
    main()
