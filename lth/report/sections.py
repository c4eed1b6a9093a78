"""What stands on the page about one data set: headings, a sentence, figures or HTML."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lth.analysis import barrier, compare, ends, statement, table, verdict
from lth.report import chains as scores
from lth.report import choose, costs, html, images, masks, plots, rows
from lth.report.choose import Chain
from lth.report.plot import Line, Lines, Plot
from lth.report.read import Found, Record

ROWS = 200  # of a table on the page; all of them are in results.md


@dataclass(frozen=True)
class Part:
    """A heading with plain ``text``, then finished ``inside`` HTML, then figures: (name of the file, plot)."""

    title: str
    text: str = ""
    inside: str = ""
    figures: Sequence[tuple[str, Plot]] = field(default_factory=list)


def of_data(name: str, records: list[Record], found: Found, accuracy: str = ends.EARLY_STOP) -> list[Part]:
    """All parts about the rounds of one data set, what is shown first; a part without anything to show says so in its sentence.

    Args:
        accuracy: the end point, one of ``ends.ENDS``.
    """
    judged = verdict.verdicts(records, accuracy)
    chains = choose.chains(records)
    drawn = choose.drawn(records, chains) or records
    slug = re.sub(r"[^A-Za-z0-9_-]+", "_", name)
    parts = [_summary(drawn, chains, accuracy), _results(records, accuracy), *_scores(drawn, chains, name, slug, accuracy)]
    parts += [_verdicts(drawn, chains, accuracy), _costs(chains, name, slug, accuracy)]
    if not chains:
        return parts
    chain = choose.with_winner(chains[0], judged, records)
    makers: tuple[Callable[[Chain, Found, str], Part], ...] = (_curves, _density, _overlap, _histogram, _classes, _images)
    return parts + [make(chain, found, slug) for make in makers]


def _summary(drawn: list[Record], chains: list[Chain], accuracy: str) -> Part:
    return Part("Is it a winning ticket?", _some(chains).strip(), html.markdown(statement.summary(drawn, accuracy)))


def _results(records: list[Record], accuracy: str) -> Part:
    cells = rows.rows(records, accuracy)
    text = f"{table.caption(records, accuracy)} Fractions, mean ± standard deviation over n seeds. {table.RUNNING}"
    text += f" The first {ROWS} of {len(cells)} rows; all are in results.md." if len(cells) > ROWS else ""
    return Part("Results", text, html.table(rows.titles(accuracy), cells[:ROWS]))


def _scores(drawn: list[Record], chains: list[Chain], name: str, slug: str, accuracy: str) -> list[Part]:
    parts = [
        Part(
            "Accuracy against weights remaining",
            "Solid lines are tickets, broken ones their controls, horizontals dense networks." + _some(chains),
            figures=[(f"accuracy-{slug}", scores.accuracy(drawn, name, accuracy))],
        ),
        Part(
            "Early stop against weights remaining",
            "The iteration of lowest validation loss: lower is faster learning." + _unended(drawn) + _some(chains),
            figures=[(f"early_stop-{slug}", scores.early_stop(drawn, name))],
        ),
    ]
    if curves := barrier.curves(drawn):
        parts.append(Part("Linear mode connectivity", _BARRIER, figures=[(f"barrier-{slug}", _barrier(curves, name))]))
    return parts


def _some(chains: list[Chain]) -> str:
    """What is to be said where not all chains are drawn."""
    more = len(chains) > choose.SERIES
    return f" Of {len(chains)} chains the {choose.SERIES} with most seeds and rounds; filters choose others." * more


def _unended(drawn: list[Record]) -> str:
    """Rounds whose loss was lowest at the very end are at least that slow."""
    last = ends.censored(drawn)
    return f" {last} of {len(drawn)} rounds stopped at the last iteration: trained longer, they might stop later." * bool(last)


_BARRIER = "Test error along the line between a network and its copy that saw the images in another order, mean over seeds."


def _barrier(curves: list[dict], name: str) -> Lines:
    lines = [
        Line(
            f"{'round ' + str(c['round']) if c['round'] else 'dense network'}, {c['density']:.1%} of weights: "
            f"barrier {100 * c['barrier']:.1f} pp",
            c["alphas"], c["errors"], marker="o", **plots.style(i),
        )
        for i, c in enumerate(sorted(curves, key=lambda c: -c["density"]))
    ]  # fmt: skip
    return Lines(
        barrier.title(name, curves), "interpolation from one copy (0) to the other (1)", "test error", lines, y_form="percent"
    )


def _verdicts(drawn: list[Record], chains: list[Chain], accuracy: str) -> Part:
    tables = statement.details(drawn, accuracy)
    return Part("Tickets less dense networks and controls", _some(chains).strip(), html.markdown(tables or statement.NONE))


def _costs(chains: list[Chain], name: str, slug: str, accuracy: str) -> Part:
    found = costs.plots(chains, name, accuracy)
    text = (
        "What a perfectly sparse engine would compute (a multiplication and an addition are 2 FLOPs), and the size of a plain "
        "file: 4 bytes a parameter that remains and, for a ticket, 1 bit a prunable weight. Nothing here was timed. "
        "Points on the Pareto front are beaten in accuracy by none that costs as much or less." + _some(chains)
    )
    figures = [(f"{kind}-{slug}", plot) for kind, plot in zip(("flops", "size"), found)]
    return Part(
        "Accuracy against cost",
        text if found else "There is no ticket or dense network whose FLOPs are on record.",
        figures=figures,
    )


def _curves(chain: Chain, found: Found, slug: str) -> Part:
    figures = plots.curves(chain, found)
    text = f"{_where(chain)} Choose rounds above each figure." if figures else "No metrics.csv of these rounds can be read."
    return Part("Learning curves", text, figures=[(f"curves_{k}-{slug}", p) for k, p in zip(("loss", "accuracy"), figures)])


def _where(chain: Chain) -> str:
    return f"Rounds of {chain.label}, seed {chain.seed}."


def _density(chain: Chain, found: Found, slug: str) -> Part:
    plot = plots.density(chain)
    text = _where(chain) if plot else "There is no ticket whose layers are on record."
    return Part("Density by layer and round", text, figures=[(f"density-{slug}", plot)] if plot else [])


def _overlap(chain: Chain, found: Found, slug: str) -> Part:
    between, heat = masks.between_seeds(chain, found), masks.overlap(chain, found)
    figures = [(f"overlap_seeds-{slug}", between)] * bool(between) + [(f"overlap-{slug}", heat)] * bool(heat)
    text = (
        "Intersection over union of the weights that two tickets keep (Jaccard index)."
        + " Rounds of one seed are nested, so theirs is the ratio of their densities." * (chain.rounds[-1]["levels"] == 1)
        + f" Of {len(chain.by_seed)} seeds {masks.SEEDS} are read." * (len(chain.by_seed) > masks.SEEDS)
    )
    return Part("Mask overlap", text if figures else "There are no two tickets whose masks can be read.", figures=figures)


def _histogram(chain: Chain, found: Found, slug: str) -> Part:
    plot = masks.histogram(chain, found)
    text = f"{_where(chain)} Weights that the masks keep; the outermost thousandth is cut off."
    absent = "The weights of these rounds, or what they started from, cannot be read."
    figures = [(f"weights-{slug}", plot)] if plot else []
    return Part("Weights before and after training", text if plot else absent, figures=figures)


def _classes(chain: Chain, found: Found, slug: str) -> Part:
    heats, lines, note = plots.classes(chain, found)
    names = ("dense", "ticket", "difference")
    figures: list[tuple[str, Plot]] = [(f"confusion_{name}-{slug}", heat) for name, heat in zip(names, heats)]
    best = "none is shown to win" if chain.winner is None else "this seed has none that is shown to win"
    won = chain.ticket is not None and chain.wins(chain.ticket)
    which = f"the sparsest {compare.CALLED[chain.winner.verdict]}" if won else f"the sparsest ticket ({best})"
    first = "the densest ticket" if chain.rounds[0]["round"] else "the dense network"
    compared = f": {first}, {which}, and the second less the first" * (len(heats) == 3)
    text = f"{_where(chain)} Test images, last epoch{compared}.{note}"
    figures += [(f"classes-{slug}", lines)] if lines else []
    return Part("Classes", text if figures else "No confusion matrix of these rounds can be read.", figures=figures)


def _images(chain: Chain, found: Found, slug: str) -> Part:
    title = "Images that the ticket loses and gains"
    if len(chain.ends) < 2 or chain.rounds[0]["round"]:
        return Part(title, "There is no ticket together with its dense network.")
    told = images.changes(*chain.ends, found)
    if told is None:
        return Part(title, "These rounds do not keep what they predicted for each image, so this cannot be shown.")
    text = (
        f"{_where(chain)} Of {told.n} test images the ticket of {chain.ticket['density']:.2%} of weights loses {told.losses}, "
        f"which the dense network got right, and gains {told.gains}, which that got wrong."
        + f" At most {images.SHOWN} of each are shown."
        * (max(told.losses, told.gains) > images.SHOWN)
    )
    return Part(title, text, _cases("Lost", told.lost) + _cases("Gained", told.gained))


def _cases(title: str, cases: list[images.Case]) -> str:
    items = "".join(
        "<li>"
        + (f'<img src="{case.picture}" alt="">' if case.picture else "")
        + html.escape(f"{case.path}: {case.truth}; dense network: {case.dense}; ticket: {case.ticket}")
        + "</li>"
        for case in cases
    )
    return f'<h4>{title}</h4><ul class="images">{items}</ul>' if cases else ""
