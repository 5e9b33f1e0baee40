"""Sequential Bayesian inference for neural nets: prior and chunk in, posterior out, predictions with uncertainty.

Method: Kochurov, Garipov, Podoprikhin, Molchanov, Ashukha, Vetrov, "Bayesian Incremental Learning for Deep Neural
Networks", ICLR 2018 workshop. The equations are in docs/mathematics.md.
"""

from bayes.calibration import (
    Reliability,
    accuracy,
    auroc,
    brier,
    coverage,
    crps,
    ece,
    entropy,
    gaussian_nll,
    interval_width,
    nll,
    reliability,
    rmse,
    score,
)
from bayes.chunk import Chunk
from bayes.convert import convert
from bayes.diagrams import Bin, Inside, Level, bins_of, wilson
from bayes.distance import distance
from bayes.divergence import kl_divergence
from bayes.draws import Draws, draw, mean_draw
from bayes.errors import (
    BayesError,
    FamilyMismatch,
    InvalidChunk,
    InvalidDescription,
    InvalidInputs,
    NoStateDict,
    UnreadableExport,
    UnreadablePosterior,
    UpdateDiverged,
)
from bayes.exports import Export, load_export
from bayes.families import FamilyName
from bayes.gate import Gate, Verdict
from bayes.grid import absorb_on_grid
from bayes.inputs import Input
from bayes.model import Model
from bayes.moments import Moments
from bayes.nets import Conv3Fc3, Layers, LeNet5, Mlp, Net
from bayes.outputs import Categorical, Gaussian, Output
from bayes.paired import Difference, paired
from bayes.pooling import merge, unlearn
from bayes.posterior import Posterior, digest_of
from bayes.predict import ask, predict
from bayes.prediction import CategoricalPrediction, GaussianPrediction, Method, Prediction
from bayes.priors import GaussianPrior, LaplacePrior, Prior, WeightsPrior
from bayes.ready import Ready, ready, usable_method
from bayes.recipe import Recipe
from bayes.report import Bound, Choice, Progress, Report
from bayes.root import root
from bayes.scores import Scores
from bayes.state_dicts import state_dict
from bayes.surprise import Surprise, surprise
from bayes.survey import obstacle
from bayes.update import absorb
from bayes.weights import Pretrained, weights_of

__all__ = [
    "BayesError",
    "Bin",
    "Bound",
    "Categorical",
    "CategoricalPrediction",
    "Choice",
    "Chunk",
    "Conv3Fc3",
    "Difference",
    "Draws",
    "Export",
    "FamilyMismatch",
    "FamilyName",
    "Gate",
    "Gaussian",
    "GaussianPrediction",
    "GaussianPrior",
    "Input",
    "Inside",
    "InvalidChunk",
    "InvalidDescription",
    "InvalidInputs",
    "LaplacePrior",
    "Layers",
    "LeNet5",
    "Level",
    "Method",
    "Mlp",
    "Model",
    "Moments",
    "Net",
    "NoStateDict",
    "Output",
    "Posterior",
    "Prediction",
    "Pretrained",
    "Prior",
    "Progress",
    "Ready",
    "Recipe",
    "Reliability",
    "Report",
    "Scores",
    "Surprise",
    "UnreadableExport",
    "UnreadablePosterior",
    "UpdateDiverged",
    "Verdict",
    "WeightsPrior",
    "absorb",
    "absorb_on_grid",
    "accuracy",
    "ask",
    "auroc",
    "bins_of",
    "brier",
    "convert",
    "coverage",
    "crps",
    "digest_of",
    "distance",
    "draw",
    "ece",
    "entropy",
    "gaussian_nll",
    "interval_width",
    "kl_divergence",
    "load_export",
    "mean_draw",
    "merge",
    "nll",
    "obstacle",
    "paired",
    "predict",
    "ready",
    "reliability",
    "rmse",
    "root",
    "score",
    "state_dict",
    "surprise",
    "unlearn",
    "usable_method",
    "weights_of",
    "wilson",
]
