"""The stages: one table of what each is called, what does it, in which version, and what it costs.

Layout, command line, rules, plan and methods read it here. It names functions and imports none, so
that a reader loads nothing but this module.

A stage's version is a parameter of its rule: raise it when the stage's results change, and it runs
again with what follows. tests/unit/test_stages.py notices changes under an old version.
"""

import importlib
from collections.abc import Callable
from typing import Any

from pipeline.stage.description import Stage

STAGES = {
    # ---- archives, and who is studied ----
    "make-demo-adni": Stage(
        "simulate MRI studies",
        rule="make_demo_adni",
        function="pipeline.demo.adni_studies:make_demo_adni",
        version=2,
        per="demo",
        work="images",
        benchmark="{dataset}/make_demo.tsv",
    ),
    "make-demo-copd": Stage(
        "simulate chest films",
        rule="make_demo_copd",
        function="pipeline.demo.copd_studies:make_demo_copd",
        version=5,
        per="demo",
        work="images",
        benchmark="{dataset}/make_demo.tsv",
    ),
    "make-toy": Stage(
        "make the toy data set, packed",
        rule="make_toy",
        function="pipeline.demo.toy_squares:pack_toy",
        version=3,
        per="dataset",
        work="arrays",
        benchmark="{dataset}/make_toy.tsv",
    ),
    "fetch-films": Stage(
        "fetch films from Orthanc, anonymised",
        rule="fetch_films",
        function="pipeline.cohort.orthanc:fetch_films",
        version=5,
        per="server",
        work="images",
        benchmark="{dataset}/fetch_films.tsv",
    ),
    "ingest": Stage(
        "read an archive: who is studied, and who is not",
        rule="ingest",
        function="pipeline.cohort.ingest:ingest_dataset",
        version=11,
        per="dataset",
        work="images",
        benchmark="{dataset}/ingest.tsv",
    ),
    # ---- brain volumes, one after the other ----
    "accept": Stage(
        "check a volume that another program prepared, and take it over",
        rule="accept_volume",
        function="pipeline.brain.accept:accept_volume",
        told="taken as other programs had prepared them",
        per="images",
        benchmark="{dataset}/accept/*.tsv",
    ),
    "orient": Stage(
        "check a volume and turn it to the axes of the template",
        rule="orient_volume",
        function="pipeline.brain.orient:orient_volume",
        version=5,
        volume=True,
        engines=True,
        told="turned to the axes of the template",
        per="images",
        benchmark="{dataset}/orient/*.tsv",
    ),
    "crop": Stage(
        "crop the field of view to the head",
        rule="crop_volume",
        function="pipeline.brain.crop:crop_field_of_view",
        volume=True,
        engines=True,
        told="cropped to the head",
        per="images",
        benchmark="{dataset}/crop/*.tsv",
    ),
    "bias": Stage(
        "correct the bias field (N4)",
        rule="correct_bias",
        function="pipeline.brain.bias:correct_bias",
        volume=True,
        engines=True,
        told="corrected for the bias field",
        per="images",
        benchmark="{dataset}/bias/*.tsv",
    ),
    "template": Stage(
        "register to the template, 7 degrees of freedom",
        rule="register_template",
        function="pipeline.brain.template:register_to_template",
        version=2,
        volume=True,
        engines=True,
        told="registered to the template with 7 degrees of freedom",
        per="images",
        benchmark="{dataset}/template/*.tsv",
    ),
    "skull": Stage(
        "strip the skull",
        rule="strip_skull",
        function="pipeline.brain.skull:strip_skull",
        volume=True,
        engines=True,
        told="skull-stripped",
        per="images",
        benchmark="{dataset}/skull/*.tsv",
    ),
    "skull_refine": Stage(
        "strip what is left of the skull",
        rule="refine_skull",
        function="pipeline.brain.skull:refine_skull",
        volume=True,
        engines=True,
        told="skull-stripped again",
        per="images",
        benchmark="{dataset}/skull_refine/*.tsv",
    ),
    "grid": Stage(
        "resample to the grid of the networks, scale to [-1, 1]",
        rule="resample_grid",
        function="pipeline.brain.grid:resample_to_grid",
        version=2,
        volume=True,
        told="resampled to the grid of the networks",
        per="images",
        work="voxels",
        benchmark="{dataset}/grid/*.tsv",
    ),
    "check": Stage(
        "quality control of a volume: figures and picture",
        rule="check_volume",
        function="pipeline.qc.check:check_volume",
        version=4,
        per="images",
        benchmark="{dataset}/qc/*.tsv",
    ),
    "review": Stage(
        "find the suspects among the volumes of a data set",
        rule="review_volumes",
        function="pipeline.qc.review:review_volumes",
        version=3,
        per="dataset",
        work="images",
        benchmark="{dataset}/review.tsv",
    ),
    # ---- films ----
    "films": Stage(
        "prepare the films of a shard",
        rule="prepare_films",
        function="pipeline.chest.prepare:prepare_film_shard",
        version=5,
        told="resized to {resize} × {resize} pixels and their histograms equalised; the networks "
        "see {crop} × {crop} pixels",
        per="shards",
        work="films_of_shard",
        benchmark="{dataset}/film/*.tsv",
    ),
    # ---- pairs and arrays ----
    "register-volumes": Stage(
        "register the baseline volume of a pair; observed difference and mask",
        rule="register_volumes",
        function="pipeline.dataset.longitudinal:register_brain_pair",
        version=3,
        told="rigid registration of its volumes",
        per="pairs",
        work="voxels",
        benchmark="{dataset}/pairs/*.tsv",
    ),
    "register-films": Stage(
        "register the pairs of a shard; observed differences and masks",
        rule="register_films",
        function="pipeline.dataset.longitudinal:register_film_pairs",
        version=3,
        told="affine registration of its films",
        per="pair_shards",
        work="pixels_of_shard",
        benchmark="{dataset}/pairs/*.tsv",
    ),
    "pack-volumes": Stage(
        "pack volumes and pairs into arrays",
        rule="pack_volumes",
        function="pipeline.dataset.pack:pack_volumes",
        version=5,
        per="dataset",
        work="arrays",
        benchmark="{dataset}/pack.tsv",
    ),
    "pack-films": Stage(
        "pack films and pairs into arrays",
        rule="pack_films",
        function="pipeline.dataset.pack:pack_films",
        version=4,
        per="dataset",
        work="arrays",
        benchmark="{dataset}/pack.tsv",
    ),
    "describe-cohort": Stage(
        "tell who was studied, who was not, and by which rule",
        rule="describe_cohort",
        function="pipeline.cohort.flow_page:write_cohort_page",
        version=6,
        per="dataset",
        benchmark="{dataset}/cohort.tsv",
    ),
    # ---- models ----
    "fetch-critic-weights": Stage(
        "get the weights that the critics of films start from",
        rule="fetch_critic_weights",
        function="pipeline.method.weights:fetch_critic_weights",
        per="start",
        benchmark="{dataset}/fetch_critic_weights.tsv",
    ),
    "train": Stage(
        "fit a model",
        rule="train_model",
        function="pipeline.method.fit:fit_model",
        version=2,
        per="models",
        work="training",
        benchmark="{dataset}/train/*.tsv",
    ),
    "choose-lambda": Stage(
        "compare the lambdas of a sweep",
        rule="choose_lambda",
        function="pipeline.method.training.sweep:summarise_sweep",
    ),
    # ---- scores and measures ----
    "score": Stage(
        "score a model on the test pairs",
        rule="score_model",
        function="pipeline.score.model:score_model",
        version=2,
        per="models",
        work="explanations",
        benchmark="{dataset}/score/{method}_seed-*.tsv",
    ),
    "score-true-deformation": Stage(
        "score the deformation that the demonstration applied",
        rule="score_true_deformation",
        function="pipeline.score.truth:score_truth",
        version=2,
        per="demo",
        work="pair_voxels",
        benchmark="{dataset}/score/true_deformation.tsv",
    ),
    "compare-with-truth": Stage(
        "compare displacement fields with those that the demonstration applied",
        rule="compare_with_truth",
        function="pipeline.score.field_error:compare_with_truth",
        per="known_fields",
        work="pair_voxels",
        benchmark="{dataset}/score/true_fields.tsv",
    ),
    "score-attributions": Stage(
        "train a classifier and score its attributions on the test pairs",
        rule="score_attributions",
        function="pipeline.score.classifier:score_attributions",
        version=2,
        per="seeds",
        work="attributions",
        benchmark="{dataset}/score/classifier_seed-*.tsv",
    ),
    "biomarkers": Stage(
        "measure what the fields change",
        rule="measure_biomarkers",
        function="pipeline.biomarkers.measure:measure_biomarkers",
        version=3,
        per="fields",
        work="pair_voxels",
        benchmark="{dataset}/biomarkers.tsv",
    ),
    "credibility": Stage(
        "measure what makes explanations credible",
        rule="measure_credibility",
        function="pipeline.score.credibility:measure_credibility",
        per="dataset",
        work="credibility",
        benchmark="{dataset}/credibility.tsv",
    ),
    # ---- tables, pictures, report, record ----
    "table": Stage(
        "make Table 1",
        rule="make_table",
        function="pipeline.score.table:make_table",
        version=2,
        per="run",
        benchmark="table1.tsv",
    ),
    "extended-table": Stage(
        "make Table 1 with the attributions of a classifier",
        rule="make_extended_table",
        function="pipeline.score.table:make_table",
        version=2,
        per="score-attributions",
        benchmark="table1_extended.tsv",
    ),
    "truth-table": Stage(
        "average the comparisons with truth",
        rule="make_truth_table",
        function="pipeline.score.field_error:make_truth_table",
        per="compare-with-truth",
        benchmark="truth.tsv",
    ),
    "demo-table": Stage(
        "tell how individual the simulated disease is",
        rule="make_demo_table",
        function="pipeline.score.individuality:make_demo_table",
        per="score-true-deformation",
        benchmark="demo.tsv",
    ),
    "biomarker-table": Stage(
        "average the biomarkers",
        rule="make_biomarker_table",
        function="pipeline.biomarkers.measure:make_biomarker_table",
        version=2,
        per="biomarkers",
        benchmark="biomarkers.tsv",
    ),
    "claims-table": Stage(
        "compare the methods in what the paper says of them in words",
        rule="make_claims_table",
        function="pipeline.score.claims:make_claims_table",
        per="run",
        benchmark="claims.tsv",
    ),
    "credibility-table": Stage(
        "average what makes explanations credible",
        rule="make_credibility_table",
        function="pipeline.score.credibility_table:make_credibility_table",
        per="run",
        benchmark="credibility.tsv",
    ),
    "overview": Stage(
        "draw explanations of the median test pairs",
        rule="draw_overview",
        function="pipeline.figures.overview:draw_overview",
        per="run",
        benchmark="overview.tsv",
    ),
    "figures": Stage(
        "draw the explanations of a test pair",
        rule="draw_figures",
        function="pipeline.figures.pair_figures:draw_pair",
        version=2,
        per="figures",
        work="voxels",
        benchmark="{dataset}/figures/*.tsv",
    ),
    "report": Stage(
        "write the report",
        rule="make_report",
        function="pipeline.report.page:make_report",
        version=2,
        per="run",
        benchmark="report.tsv",
    ),
    "record-config": Stage(
        "write the effective configuration",
        rule="record_config",
        function="pipeline.record.config_file:record_config",
        per="run",
        benchmark="record_config.tsv",
    ),
    "record-model": Stage(
        "write where a model comes from",
        rule="record_model",
        function="pipeline.record.provenance:record_model",
        version=2,
        per="models",
        benchmark="{dataset}/record/*.tsv",
    ),
    "record-run": Stage(
        "write where the results come from",
        rule="record_run",
        function="pipeline.record.run:record_run",
        version=2,
        per="run",
        benchmark="record.tsv",
    ),
}
# Those that a raw brain volume goes through, in their order; see `pipeline.brain.chain`.
BRAIN_STAGES = tuple(name for name, stage in STAGES.items() if stage.volume)


def load(name: str) -> Callable[..., Any]:
    """The function ``module:function``, imported now."""
    module, function = name.split(":")
    return getattr(importlib.import_module(module), function)


def stage_function(name: str) -> Callable[..., Any]:
    """What does the stage of this name, imported now."""
    return load(STAGES[name].function)
