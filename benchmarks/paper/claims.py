"""What is claimed, what was measured, and whether the one bears out the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from benchmarks.paper.tables import Figure, Found, final, markdown

SMALL = {"mnist-500": "MNIST, 500"}
LARGE = {"mnist-6000": "MNIST, 6,000"}
COLOR = {"cifar10": "CIFAR-10"}
NAMES = SMALL | LARGE | COLOR
NEW = {"mnist-new": "MNIST", "cifar10-new": "CIFAR-10"}
ACCURACY = final("ensemble", "accuracy", 100)
NLL = final("ensemble", "nll")
ECE = final("ensemble", "ece")

Measured = tuple[str, bool]
"""The figures in words, and whether the claim holds by them."""


@dataclass(frozen=True)
class Of:
    """The results of one experiment."""

    found: Found

    def __call__(self, label: str, figure: Figure) -> float:
        """The mean over the seeds of the row's figure."""
        return mean(map(figure, self.found[label]))

    def sigmas(self) -> list[str]:
        """The rows of a single sigma."""
        return [label for label, of in self.found.items() if label.startswith("ffg, sigma ") and of]


@dataclass(frozen=True)
class Claim:
    """A sentence with the threshold that it is held to, on each experiment that has results in the rows it needs."""

    sentence: str
    needs: tuple[str, ...]
    experiments: Mapping[str, str]
    measured: Callable[[Of], Measured]


def table(found: Mapping[str, Found]) -> str:
    """Both lists of claims: the paper's, and ours."""
    return f"{_rows('The paper says', PAPER, found)}\n\n{_rows('We say', OURS, found)}"


def _rows(heading: str, claims: Sequence[Claim], found: Mapping[str, Found]) -> str:
    rows = [[heading, "on", "measured", "holds"]]
    for claim in claims:
        for name, shown in claim.experiments.items():
            of = found.get(name, {})
            if not all(of.get(label) for label in claim.needs):
                continue
            figures, holds = claim.measured(Of(of))
            rows.append([claim.sentence, shown, figures, "yes" if holds else "**no**"])
    return markdown(rows)


def _fine_tuning(of: Of) -> Measured:
    point, ffg, joint = (of(label, ACCURACY) for label in ("point", "ffg", "joint point"))
    return f"point {point:.2f} %, ffg {ffg:.2f} %, joint {joint:.2f} %", ffg - point >= 1.0


def _ffg_sufficient(of: Of) -> Measured:
    ffg, cfg, mnf = (of(label, NLL) for label in ("ffg", "cfg", "mnf"))
    return f"NLL ffg {ffg:.4f}, cfg {cfg:.4f}, mnf {mnf:.4f}", min(cfg, mnf) >= 0.95 * ffg


def _rescaling(of: Of) -> Measured:
    nll = {label: of(label, NLL) for label, results in of.found.items() if results}
    best = min(nll, key=lambda label: nll[label])
    measured = f"NLL {nll['1']:.4f} at beta 1, {nll[best]:.4f} at beta {best}"
    return measured, nll["1"] >= 1.05 * nll[best]


def _fine_tuning_pretrained(of: Of) -> Measured:
    blank, star = of("point", ACCURACY), of("point from w*", ACCURACY)
    return f"from scratch {blank:.2f} %, from w* {star:.2f} %", star - blank < 0.5


def _pretraining_helps(of: Of) -> Measured:
    vague, grid, laplace = (of(f"ffg, {label}", ACCURACY) for label in ("vague", "grid", "Laplace"))
    measured = f"vague {vague:.2f} %, grid {grid:.2f} %, Laplace {laplace:.2f} %"
    return measured, min(grid, laplace) - vague >= 0.6


def _laplace(of: Of) -> Measured:
    best = max(of.sigmas(), key=lambda label: of(label, ACCURACY))
    laplace, most = of("ffg, Laplace", ACCURACY), of(best, ACCURACY)
    return f"Laplace {laplace:.2f} %, {best.removeprefix('ffg, ')} {most:.2f} %", laplace >= most - 0.4


def _accuracy_500(of: Of) -> Measured:
    point, ffg, joint = (of(label, ACCURACY) for label in ("point", "ffg", "joint point"))
    measured = f"ffg {ffg:.2f} %, point {point:.2f} %, joint point {joint:.2f} %"
    return measured, ffg >= max(97.0, point + 0.1, joint - 0.8)


def _calibrated(nll_most: float, ece_most: float) -> Callable[[Of], Measured]:
    def measured(of: Of) -> Measured:
        point, ffg, ece = of("point", NLL), of("ffg", NLL), of("ffg", ECE)
        holds = ffg <= nll_most * point and ece <= ece_most
        return f"NLL {ffg:.4f}, {ffg / point:.2f} of point's; ECE {ece:.4f}", holds

    return measured


def _accuracy_6000(of: Of) -> Measured:
    ffg = of("ffg", ACCURACY)
    return f"{ffg:.2f} %", ffg >= 98.7


def _as_good(of: Of) -> Measured:
    ffg, cfg, mnf = (of(label, NLL) for label in ("ffg", "cfg", "mnf"))
    return f"cfg {cfg / ffg:.2f} of ffg's, mnf {mnf / ffg:.2f}", max(cfg, mnf) <= 1.05 * ffg


def _better_than_point(of: Of) -> Measured:
    figures = [(of(label, ACCURACY), of(label, NLL)) for label in ("point", "ffg", "joint point")]
    (accuracy, nll), (ffg_accuracy, ffg_nll), joint = figures
    named = zip(("point", "ffg", "joint point"), figures, strict=True)
    measured = "; ".join(f"{label} {a:.2f} %, NLL {n:.3f}" for label, (a, n) in named)
    return f"{measured}; {joint[0] - ffg_accuracy:.2f} points under joint", ffg_accuracy > accuracy and ffg_nll < nll


def _over_vague(of: Of) -> Measured:
    rows = ("ffg, vague", "ffg, Laplace")
    (vague, vague_nll), (laplace, laplace_nll) = ((of(row, ACCURACY), of(row, NLL)) for row in rows)
    measured = f"{laplace - vague:+.2f} points, NLL {laplace_nll / vague_nll:.2f} of vague's"
    return measured, laplace - vague >= 0.6 and laplace_nll <= 0.8 * vague_nll


def _newton(of: Of) -> Measured:
    ivon, ffg = of("ivon", NLL), of("ffg", NLL)
    return f"NLL ivon {ivon:.4f}, ffg {ffg:.4f}", ivon <= ffg


MAIN = ("point", "ffg", "joint point")
FAMILIES = ("ffg", "cfg", "mnf")
PAPER = (
    Claim("Fine-tuning performs poorly: at least 1 point below ffg", MAIN, NAMES, _fine_tuning),
    Claim("FFG was sufficient: neither cfg nor mnf has an NLL 5 % lower", FAMILIES, NAMES, _ffg_sufficient),
    Claim(
        "The KL term had to be downscaled: at beta 1 the NLL is at least 5 % higher",
        ("1",),
        {f"{name}-beta": shown for name, shown in NAMES.items()},
        _rescaling,
    ),
    Claim(
        "Fine-tuning does not benefit from pretraining: less than 0.5 point",
        ("point", "point from w*"),
        NEW,
        _fine_tuning_pretrained,
    ),
    Claim(
        "Pretraining helps Bayesian models: at least 0.6 point, by grid and by Laplace",
        ("ffg, vague", "ffg, grid", "ffg, Laplace"),
        NEW,
        _pretraining_helps,
    ),
    Claim(
        "Laplace works well without a grid search: within 0.4 point of the best sigma",
        ("ffg, Laplace", "ffg, sigma 0.1"),
        NEW,
        _laplace,
    ),
)
OURS = (
    Claim(
        "ffg is right on 97.0 %, 0.1 point above fine-tuning, within 0.8 of joint training", MAIN, SMALL, _accuracy_500
    ),
    Claim("ffg: NLL at most 0.80 of fine-tuning's, ECE at most 0.010", MAIN, SMALL, _calibrated(0.8, 0.01)),
    Claim("ffg is right on 98.7 %", MAIN, LARGE, _accuracy_6000),
    Claim("ffg: NLL at most fine-tuning's, ECE at most 0.005", MAIN, LARGE, _calibrated(1.0, 0.005)),
    Claim("cfg and mnf: NLL at most 1.05 of ffg's", FAMILIES, NAMES, _as_good),
    Claim("ivon: NLL at most that of ffg by Adam", ("ivon", "ffg"), LARGE, _newton),
    Claim("ffg beats fine-tuning in accuracy and NLL", MAIN, COLOR, _better_than_point),
    Claim(
        "Laplace is 0.6 point above vague, NLL at most 0.80 of its", ("ffg, vague", "ffg, Laplace"), NEW, _over_vague
    ),
)
