"""The plots of docs/parallel.md."""

from typing import TYPE_CHECKING, Any

from parallel_rows import GOAL, at_cores, groups_of, runs_of, scaling_of
from parallel_simulation import CLUSTER, HIDDEN, LINKS, hidden, speedups

from classpulse.lab.evaluate.figures import CARD, MUTED, RULE, build_axes, marker, styled, tone
from classpulse.lab.parallel.cluster import Step

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES: tuple[Any, ...] = ("-", "--", "-.", (0, (1, 1)), (0, (6, 1, 1, 1, 1, 1)))
WIDTHS = (3.6, 2.0, 1.1)  # of curves that may lie on each other: the first is seen behind the rest


@styled
def draw_speedups(cases: dict[str, Any]) -> "Figure":
    """A column for each group of parts: speedup at the largest size, efficiency by size, names."""
    groups = groups_of(cases)
    columns = len(groups)
    figure, panels = build_axes(
        max(2.8 * columns, 5.0), 6.4, rows=3, columns=columns, heights=(1.0, 1.0, 0.45)
    )
    upper, lower, names = (panels[i * columns : (i + 1) * columns] for i in range(3))
    cores = max(case["cores"] for case in cases.values())
    runs = [run for case in cases.values() for run in runs_of(case)]
    counts = sorted({run.workers for run in runs})
    for above, below, legend, (title, group) in zip(
        upper, lower, names, groups.items(), strict=True
    ):
        above.plot(counts, [min(n, cores) for n in counts], color=MUTED, linewidth=1, gid="most")
        above.axvspan(cores, counts[-1] + 0.2, color=RULE, alpha=0.5, linewidth=0, gid="beyond")
        lines = [_draw_part(above, below, cases[name], i) for i, name in enumerate(group)]
        above.set(xlabel="workers", title=title, ylim=(0, 1.1 * max(r.speedup for r in runs)))
        above.set_xticks(counts, [str(n) for n in counts])
        below.axhline(GOAL, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)), gid="goal")
        sizes = sorted({size for name in group for size in _sizes(cases[name])})
        below.set(xlabel="size / smallest", ylim=(0, 1.1))
        below.set_xticks(sizes, [f"{size:g}" for size in sizes])
        legend.set_axis_off()
        legend.legend(lines, group, loc="upper left", borderaxespad=0, handlelength=3.4)
    upper[0].set_ylabel("speedup, largest size")
    lower[0].set_ylabel("efficiency, a worker for each core")
    marks = {
        f"most that {cores} cores allow": _find(upper[0], "most"),
        "more workers than cores": _find(upper[0], "beyond"),
        f"goal: efficiency {GOAL}": _find(lower[0], "goal"),
    }
    figure.legend(list(marks.values()), list(marks), loc="outside lower center", ncols=3)
    return figure


def _draw_part(above: "Axes", below: "Axes", case: dict[str, Any], i: int) -> Any:
    """One part in both panels; runs with more workers than cores have hollow markers."""
    style = {"color": tone(i), "linestyle": LINES[i % len(LINES)]}
    runs = runs_of(case)
    (line,) = above.plot(
        [r.workers for r in runs], [r.speedup for r in runs], marker=marker(i), **style
    )
    over = [r for r in runs if r.workers > case["cores"]]
    above.plot(
        [r.workers for r in over],
        [r.speedup for r in over],
        color=tone(i),
        marker=marker(i),
        markerfacecolor=CARD,
        linestyle="none",
    )
    workers = at_cores(case).workers
    rows = [row for row in case["rows"] if row["workers"] == workers]
    efficiency = [scaling_of(row).efficiency for row in rows]
    below.plot(_sizes(case), efficiency, marker=marker(i), **style)
    return line


def _sizes(case: dict[str, Any]) -> list[float]:
    """Sizes over the smallest, of the runs with a worker for each core."""
    workers = at_cores(case).workers
    return [row["size"] / case["base"] for row in case["rows"] if row["workers"] == workers]


def _find(axes: "Axes", gid: str) -> Any:
    return next(one for one in axes.get_children() if one.get_gid() == gid)


@styled
def draw_cluster(step: Step) -> "Figure":
    """Simulated speedup of an epoch against workers, one panel for each link."""
    figure, panels = build_axes(8.6, 4.0, columns=len(LINKS), share_y=True)
    ticks = [n for n in CLUSTER if n in (1, 4, 16, 64, 256)]
    for axes, (name, curves) in zip(panels, speedups(step).items(), strict=True):
        axes.plot(CLUSTER, CLUSTER, color=MUTED, linewidth=1, linestyle=":", label="ideal")
        for i, (scheme, speedup) in enumerate(curves.items()):
            style = {"linestyle": LINES[i], "linewidth": WIDTHS[i], "markersize": 3 + 2 * WIDTHS[i]}
            axes.plot(CLUSTER, speedup, color=tone(i), marker=marker(i), label=scheme, **style)
        axes.set(xscale="log", yscale="log", xlabel="workers", title=f"simulation: {name}")
        said = "\n".join(f"{pair}: {_told(near)}" for pair, near in hidden(curves).items())
        if said:
            note = f"within {HIDDEN:.0%} of each other:\n{said} workers"
            place = {"transform": axes.transAxes, "ha": "right", "va": "bottom"}
            axes.text(0.99, 0.03, note, fontsize=7.5, color=MUTED, **place)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks(ticks, [str(n) for n in ticks])
            axis.set_ticks([], minor=True)
    panels[0].set_ylabel("speedup of an epoch")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _told(counts: list[int]) -> str:
    return f"{counts[0]} to {counts[-1]}" if len(counts) > 2 else " and ".join(map(str, counts))
