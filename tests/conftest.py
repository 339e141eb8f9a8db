"""Workers of one test run share the cores: each keeps compiled loops and products of matrices to one thread.

The longest tests are taken up first, and of long lists of alike cases the everyday run takes a part. And compiled code
that was kept under the name of a class which is gone since is compiled again.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import numba
import pytest
from numba.core.caching import IndexDataCacheFile
from threadpoolctl import threadpool_limits

if "PYTEST_XDIST_WORKER" in os.environ:
    numba.set_num_threads(1)
    threadpool_limits(1)

# Taken up first, so that no worker is left with one of them when the others have ended.
LONGEST = ("test_readme.py", "test_killed.py", "test_learned_gap.py", "test_discrete_guided.py")


# Of these, whose cases are many and alike, the everyday run takes one case in so many; 0: none. CI takes all.
THINNED = {
    "test_snippets_run_and_print_what_they_say": 0,
    "test_tableau_equals_the_papers_loop": 4,
    "test_a_kernel_compiles_within_its_budget": 16,
    "test_samples_follow_the_law": 6,
    "test_samples_follow_the_exact_law": 3,
    "test_samples_have_the_law": 6,
    "test_draws_follow_the_law": 8,
    "test_the_law_is_the_marginal_at_every_node_of_the_grid": 6,
    "test_compiled_trajectories_are_those_of_the_cpu": 4,
    "test_compiled_moves_draw_the_tokens_of_the_cpu": 4,
    "test_compiled_moves_draw_them_with_many_tokens_too": 4,
    "test_law_agrees_with_many_fused_samples": 5,
    "test_the_interval_is_students_over_scrambles_plus_what_pooling_changes": 0,
    "test_law_equals_the_probed_sampler": 4,
    "test_compiled_cavities_are_those_of_the_law": 4,
    "test_on_one_gaussian_the_density_is_the_exact_law": 5,
    "test_run_samples_the_law_that_the_grid_carries": 0,
    "test_fused_equals_arrays_on_numpy_and_on_torch": 4,
    "test_trajectories_are_those_of_blocks": 4,
    "test_a_saved_tableau_gives_identical_samples": 5,
    "test_a_gaussian_bent_by_its_model_is_measured_in_one_way": 0,
    "test_evaluations_grow_as_epsilon_to_the_minus_one_over_the_order": 4,
    "test_a_million_samples_agree_with_the_density_on_its_witness_set": 0,
    "test_a_million_samples_agree_with_the_density_of_every_kind_of_noise": 0,
    "test_masks_are_followed_from_all_noise_to_the_data_themselves": 0,
    "test_one_step_is_that_of_the_papers_formula": 4,
    "test_denoising_mcmc_keeps_the_law_where_its_steps_are_accepted": 0,
    "test_torch_s_loop_is_the_sampler": 5,
    "test_one_step_law_is_that_of_the_papers_loop_from_every_state": 4,
    "test_discrete_bound_is_its_definition_summed_over_all_paths": 4,
    "test_cavities_are_those_of_the_law": 4,
    "test_a_move_of_another_kind_has_law_samples_path_and_evaluations": 2,
    "test_more_steps_execute_what_their_source_calls": 0,
    "test_more_tokens_execute_what_their_source_calls": 0,
    "test_float64_takes_longer": 0,
    "test_samples_follow_the_law_and_all_sites_are_revealed_in_the_end": 2,
    "test_it_equals_the_distance_of_coupled_samples": 0,
    "test_sampler_makes_its_tokens_of_the_addressed_words": 4,
    "test_shares_and_remainder_add_up_to_the_error_of_what_is_run": 4,
    "test_draws_agree_with_the_exact_averages_in_continuous_time": 3,
    "test_any_method_can_predict": 3,
    "test_every_table_of_coefficients_matters": 4,
    "test_tokens_are_those_of_the_moves_one_by_one": 4,
    "test_from_one_state_the_law_is_the_exact_reverse_kernel": 4,
    "test_one_step_law_is_that_of_plain_loops": 4,
    "test_orders": 4,
    "test_tokens_below_the_grid_are_never_drawn": 0,
    "test_law_is_that_of_all_uniform_numbers_there_are": 6,
    "test_v3_has_its_order_on_a_mixture": 4,
    "test_three_steps_agree_with_quadrature_over_all_pairs": 0,
    "test_the_error_estimate_is_small_and_the_order_is_two": 0,
    "test_a_killed_run_of_two_studies_goes_on_where_it_was": 0,
    "test_order_of_tokens_prints_slopes_and_equal_cost": 0,
    "test_float32_stays_within_its_rounding": 0,
    "test_text_gives_log_likelihood_and_bigrams_and_a_plot": 0,
    "test_one_noise_alone_means_tokens": 0,
    "test_solvers_of_equations_have_their_orders": 0,
    "test_the_verb_prints_shares_and_resumes": 0,
    "test_other_points_in_a_file_of_the_same_name_are_measured_anew": 0,
    "test_samples_show_the_missing_rare_tokens": 0,
    "test_initial_part_of_the_sde_on_the_line_is_the_exact_reverse_kernel": 0,
    "test_the_exact_score_gives_the_target_and_a_sign_error_in_it_is_seen": 0,
    "test_all_methods_take_labelled_data_as_they_are": 0,
    "test_kl_contracts_between_laws_of_an_sde_and_stays_between_those_of_an_ode": 0,
    "test_digits_give_error_against_nfe_with_a_floor_and_pictures": 0,
    "test_the_checks_run_in_another_projects_tests": 0,
    "test_few_steps_are_searched_whole_and_more_until_no_single_change_helps": 0,
    "test_ode_and_sdes_change_rank_with_the_time_of_the_error": 0,
    "test_every_sample_has_steps_of_its_own_and_its_noise_survives_a_rejection": 0,
    "test_of_a_deterministic_method_it_is_the_distance_to_the_exact_flow": 0,
    "test_error_of_gumbel_draws_grows_as_the_number_of_steps_and_is_the_predicted_one": 0,
    "test_with_the_exact_score_every_gap_vanishes_and_a_wrong_sign_is_seen": 0,
    "test_ddpm_has_order_one_in_total_variation": 0,
    "test_strict_exits_with_one_exactly_when_a_claim_is_refuted": 0,
    "test_diffrax_solves_the_flow_as_heun_does": 2,
    "test_samples_are_those_of_plain_loops": 3,
    "test_a_scan_of_xla_is_the_sampler": 0,
    "test_noisy_loops_of_others_sample_the_target": 0,
    "test_samples_that_are_not_kept_are_drawn_all": 0,
    "test_the_verb_shows_speeds_peaks_and_growth": 0,
    "test_an_edit_of_what_is_called_is_seen": 0,
    "test_on_a_mixture_the_ode_pays_more_for_an_error_at_all_times": 0,
    "test_a_constant_error_is_along_the_vector_of_ones_in_any_basis": 0,
    "test_from_one_point_an_exact_sampler_comes_to_the_target": 4,
    "test_sound_steps_pass": 3,
    "test_orders_on_a_mixture_by_the_backward_equation": 3,
    "test_orders_of_the_flow_on_a_mixture_by_a_lattice": 2,
    "test_orders_of_the_flow_on_a_mixture": 3,
    "test_weak_orders_on_a_mixture": 2,
    "test_coarse_and_fine_grids_share_their_noise": 4,
    "test_an_exact_sampler_keeps_a_mixture": 4,
    "test_accepted_chains_reach_the_composed_law_and_a_sum_of_scores_alone_does_not": 0,
}


SIMULATED = 6  # of simulated kernels' cases too
# Of these, the longest of such lists, CI takes one case in so many, 0: none; `make deep` takes all.
DEEP = {
    "test_the_table_is_what_the_command_prints": 12,
    "test_the_table_of_tokens_is_what_the_command_prints": 12,
    "test_the_gap_has_the_published_shape_and_every_bound_holds": 0,
    "test_law_in_blocks_is_the_sum_over_all_uniform_numbers": 3,
    "test_law_equals_the_probed_sampler": 2,
    "test_fused_equals_arrays_on_numpy_and_on_torch": 3,
    "test_no_check_gives_a_false_alarm_over_the_catalogue": 3,
    "test_every_verb_goes_on_where_it_was_killed": 2,
    "test_a_kernel_compiles_within_its_budget": 4,
    "test_compiled_trajectories_are_those_of_the_cpu": 4,
    "test_compiled_moves_draw_the_tokens_of_the_cpu": 4,
    "test_samples_show_the_missing_rare_tokens": 2,
    "test_law_agrees_with_many_fused_samples": 2,
    "test_many_samples_follow_the_law": 2,
    "test_many_draws_follow_the_law": 2,
    "test_mutants_of_moves_are_caught_but_for_those_that_are_no_faults": 2,
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Put the longest tests first, as `LONGEST` has them, and mark cases of `THINNED` as slow and of `DEEP` as deep."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))
    seen: Counter[tuple[str, str]] = Counter()
    for item in items:
        name = getattr(item, "originalname", item.name)
        case = seen[item.path.name, name]
        seen[item.path.name, name] += 1
        if item.get_closest_marker("simulator"):  # simulated kernels have a run of their own
            if case % SIMULATED:
                item.add_marker(pytest.mark.slow)
            continue
        if name in DEEP and (DEEP[name] == 0 or case % DEEP[name]):
            item.add_marker(pytest.mark.deep)
        if name not in THINNED or item.get_closest_marker("slow"):
            continue
        share = THINNED[name]
        if share == 0 or case % share:
            item.add_marker(pytest.mark.slow)


_load = IndexDataCacheFile._load_index


def _load_what_is_still_known(file: Any) -> Any:
    try:
        return _load(file)
    except AttributeError:  # numba looks at the classes before it looks at the file's age
        return {}


IndexDataCacheFile._load_index = _load_what_is_still_known
