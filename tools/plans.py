"What training needs on a T4, computed without one (minisd.measuring.plan): into data/results/plan.json."

from datetime import date
from pathlib import Path

from minisd.base.core import machine, write_json
from minisd.base.core import commit
from minisd.measuring.plan import plan
from minisd.train import recipe

root = Path(__file__).resolve().parents[1]
GPU, UTILISATION = 't4', 0.17  # the share of a T4's peak that UNets of diffusers reach, see nbs/measuring/plan.ipynb


def main():
    rows = []
    for preset in ('nano', 'base'):
        for stage in ('vae', 'clip', 'unet'):
            c, p = recipe(stage, preset), plan(stage, preset, GPU)
            way = ('adamw8bit' if preset == 'base' else 'adamw', c.checkpointing)
            images, hours = c.steps * c.batch * c.accumulate, p.hours(c.steps * c.batch * c.accumulate, UTILISATION)
            if stage == 'unet' and c.small_size:
                hours = (
                    c.small_share * plan(stage, preset, GPU, c.small_size).hours(images, UTILISATION)
                    + (1 - c.small_share) * hours
                )
            rows.append(
                dict(
                    preset=preset,
                    stage=stage,
                    size=p.size,
                    parameters=p.parameters,
                    gigaflops=round(p.flops / 1e9, 1),
                    batch=c.batch,
                    accumulate=c.accumulate,
                    updates=c.steps,
                    optimizer=way[0],
                    checkpointing=way[1],
                    peak_gib=round(p.peak(c.batch, *way), 2),
                    largest_batch=p.largest[way],
                    images=images,
                    hours=round(hours, 2),
                )
            )
            print(rows[-1], flush=True)
    write_json(
        root / 'data' / 'results' / 'plan.json',
        dict(
            gpu=p.gpu.name,
            memory_gib=p.gpu.memory,
            utilisation=UTILISATION,
            rows=rows,
            machine=machine(),
            commit=commit(),
            date=str(date.today()),
        ),
    )


if __name__ == '__main__':
    main()
