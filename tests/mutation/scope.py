"""What is mutated, and the tests that judge it."""

from __future__ import annotations

PROPERTIES = "runtime_check/properties"
MUTATED = (
    "runtime_check/comparison.py",
    "runtime_check/metrics.py",
    "runtime_check/vectors.py",
    f"{PROPERTIES}/base.py",
    f"{PROPERTIES}/search.py",
    f"{PROPERTIES}/parity.py",
    f"{PROPERTIES}/spread.py",
    f"{PROPERTIES}/logits.py",
    f"{PROPERTIES}/allowance.py",
    "runtime_check/reference/rounding.py",
    f"{PROPERTIES}/golden.py",
    f"{PROPERTIES}/determinism.py",
    f"{PROPERTIES}/nonfinite.py",
    f"{PROPERTIES}/preprocessing.py",
    f"{PROPERTIES}/load_anywhere.py",
    f"{PROPERTIES}/counterexample.py",
    f"{PROPERTIES}/__init__.py",
    "runtime_check/checking.py",
)
TESTS = "tests/runtime_check"
# Fast ones: no process is started, no network is trained. The rest of the suite would see more.
JUDGES = (
    f"{TESTS}/test_comparison.py",
    f"{TESTS}/test_comparison_outputs.py",
    f"{TESTS}/test_metrics.py",
    f"{TESTS}/test_vectors.py",
    f"{TESTS}/test_outcome.py",
    f"{TESTS}/test_checking_by_hand.py",
    f"{TESTS}/reference/test_rounding.py",
    f"{TESTS}/properties/test_evidence.py",
    f"{TESTS}/properties/test_exploring.py",
    f"{TESTS}/properties/test_spread.py",
    f"{TESTS}/properties/test_logits.py",
    f"{TESTS}/properties/test_allowance.py",
    f"{TESTS}/properties/test_parity_by_hand.py",
    f"{TESTS}/properties/test_parity_outputs_by_hand.py",
    f"{TESTS}/properties/test_parity_together_by_hand.py",
    f"{TESTS}/properties/test_repeats_by_hand.py",
    f"{TESTS}/properties/test_preprocessing_by_hand.py",
    f"{TESTS}/properties/test_preprocessing_drawn_by_hand.py",
    f"{TESTS}/properties/test_golden_by_hand.py",
    f"{TESTS}/properties/test_outputs_by_hand.py",
    f"{TESTS}/properties/test_metadata_by_hand.py",
    f"{TESTS}/properties/test_nonfinite_by_hand.py",
    f"{TESTS}/properties/test_replay_by_hand.py",
    f"{TESTS}/properties/test_load_anywhere_by_hand.py",
    f"{TESTS}/properties/test_counterexample_by_hand.py",
    f"{TESTS}/properties/test_verdicts.py",
)


# Their own fast tests, where those are not in the file of the same name.
NEAREST = {
    "runtime_check/checking.py": f"{TESTS}/test_checking_by_hand.py",
    f"{PROPERTIES}/base.py": f"{TESTS}/properties/test_evidence.py",
    f"{PROPERTIES}/search.py": f"{TESTS}/properties/test_exploring.py",
    f"{PROPERTIES}/parity.py": f"{TESTS}/properties/test_parity_by_hand.py",
    f"{PROPERTIES}/determinism.py": f"{TESTS}/properties/test_repeats_by_hand.py",
    f"{PROPERTIES}/preprocessing.py": f"{TESTS}/properties/test_preprocessing_by_hand.py",
    f"{PROPERTIES}/golden.py": f"{TESTS}/properties/test_golden_by_hand.py",
    f"{PROPERTIES}/nonfinite.py": f"{TESTS}/properties/test_nonfinite_by_hand.py",
    f"{PROPERTIES}/__init__.py": f"{TESTS}/properties/test_replay_by_hand.py",
    f"{PROPERTIES}/counterexample.py": f"{TESTS}/properties/test_counterexample_by_hand.py",
    f"{PROPERTIES}/load_anywhere.py": f"{TESTS}/properties/test_load_anywhere_by_hand.py",
}


def judges_of(module: str) -> list[str]:
    """Return all judges, the module's own tests first: most mutants die there."""
    folder, _, name = module.rpartition("/")
    own = NEAREST.get(module, f"{folder.replace('runtime_check', TESTS, 1)}/test_{name}")
    return sorted(JUDGES, key=lambda test: test != own)
