"""Looking into a network: plots and a gradient check.

The displays work like scikit-learn's: `from_estimator` computes and draws, `plot` draws again,
`ax_` and `figure_` are what was drawn on. They take fitted MLPs of nnjit and of scikit-learn,
alone or in a Pipeline, a TransformedTargetRegressor or a search. Those of filters, feature maps and
relevance take networks for series and images; those of states and of gradients over time networks
with recurrent layers, those of centres networks with centres, those of embeddings networks with
these and estimators of tables, and all others take all. SOMDisplay
takes self-organizing maps, ReturnDisplay agents of `nnjit.agents`.
matplotlib is imported when something is drawn.
"""

from nnjit.inspection._embeddings import EmbeddedCategory, EmbeddedNumber
from nnjit.inspection.activation import ActivationDisplay
from nnjit.inspection.centers import CentersDisplay
from nnjit.inspection.embeddings import EmbeddingDisplay
from nnjit.inspection.feature_maps import FeatureMapDisplay
from nnjit.inspection.filters import FilterDisplay
from nnjit.inspection.gradient_check import GradientCheck, check_gradient
from nnjit.inspection.gradient_flow import GradientFlowDisplay
from nnjit.inspection.gradient_over_time import GradientOverTimeDisplay
from nnjit.inspection.loss_curve import LossCurveDisplay
from nnjit.inspection.network import NetworkDisplay
from nnjit.inspection.relevance import RelevanceDisplay
from nnjit.inspection.returns import ReturnDisplay
from nnjit.inspection.self_organizing_map import SOMDisplay
from nnjit.inspection.states import StateDisplay
from nnjit.inspection.weights import WeightsDisplay

__all__ = [
    "ActivationDisplay",
    "CentersDisplay",
    "EmbeddedCategory",
    "EmbeddedNumber",
    "EmbeddingDisplay",
    "FeatureMapDisplay",
    "FilterDisplay",
    "GradientCheck",
    "GradientFlowDisplay",
    "GradientOverTimeDisplay",
    "LossCurveDisplay",
    "NetworkDisplay",
    "RelevanceDisplay",
    "ReturnDisplay",
    "SOMDisplay",
    "StateDisplay",
    "WeightsDisplay",
    "check_gradient",
]
