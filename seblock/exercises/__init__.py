"""The checks that the notebooks call, one file a notebook: `exercises.check_squeeze(my_squeeze)`."""

from seblock.exercises.beyond import check_dearer_from, check_ring, check_weighted_squeeze
from seblock.exercises.cifar10 import check_difference, check_rate, check_seeds_needed
from seblock.exercises.context import check_cues, check_means_by_cue, check_runs_needed, check_view
from seblock.exercises.convolution import (
    check_flag_filter,
    check_line,
    check_terms,
    check_true_convolution,
)
from seblock.exercises.entanglement import (
    check_changed_rows,
    check_colour_and_pattern,
    check_dusk_filters,
    check_field,
)
from seblock.exercises.excitation import (
    check_excite,
    check_gate_weights,
    check_small_weights,
    check_softmax_gates,
)
from seblock.exercises.exercise import Exercise as Exercise
from seblock.exercises.gradients import (
    check_back_through_max,
    check_gate_left,
    check_grad_from_output,
    check_waking_bias,
)
from seblock.exercises.implementations import (
    check_brighter,
    check_move,
    check_parameters,
    check_sigmoid_range,
)
from seblock.exercises.one_dimmer import check_along_one, check_fold_all, check_specificity
from seblock.exercises.outcome import Verdict as Verdict
from seblock.exercises.progress import progress, reset_progress
from seblock.exercises.rescale import check_block_test, check_harmed_photo, check_rescale, check_silent_shape
from seblock.exercises.residual_block import (
    check_block,
    check_compensation,
    check_most_blocks,
    check_signal_left,
)
from seblock.exercises.scanner import check_exposure, check_other_lines, check_paired_interval
from seblock.exercises.speed import check_share_needed, check_step_left, check_term_passes
from seblock.exercises.squeeze import check_masked_squeeze, check_new_z, check_pair, check_squeeze
from seblock.exercises.start import check_bet, check_layers, check_lying_cue

__all__ = [
    "check_along_one",
    "check_back_through_max",
    "check_bet",
    "check_block",
    "check_block_test",
    "check_brighter",
    "check_changed_rows",
    "check_colour_and_pattern",
    "check_compensation",
    "check_cues",
    "check_dearer_from",
    "check_difference",
    "check_dusk_filters",
    "check_excite",
    "check_exposure",
    "check_field",
    "check_flag_filter",
    "check_fold_all",
    "check_gate_left",
    "check_gate_weights",
    "check_grad_from_output",
    "check_harmed_photo",
    "check_layers",
    "check_line",
    "check_lying_cue",
    "check_masked_squeeze",
    "check_means_by_cue",
    "check_most_blocks",
    "check_move",
    "check_new_z",
    "check_other_lines",
    "check_pair",
    "check_paired_interval",
    "check_parameters",
    "check_rate",
    "check_rescale",
    "check_ring",
    "check_runs_needed",
    "check_seeds_needed",
    "check_share_needed",
    "check_sigmoid_range",
    "check_signal_left",
    "check_silent_shape",
    "check_small_weights",
    "check_softmax_gates",
    "check_specificity",
    "check_squeeze",
    "check_step_left",
    "check_term_passes",
    "check_terms",
    "check_true_convolution",
    "check_view",
    "check_waking_bias",
    "check_weighted_squeeze",
    "progress",
    "reset_progress",
]
