# From raw studies to results/table1.csv; each file of workflow/rules is one stage.
from snakemake.utils import min_version

min_version("9.27")


# The default is the demonstration. A file given with --configfile replaces it as a whole: were it
# merged into the demonstration, keys of the demonstration would leak into a study of patients.
if "datasets" not in config:

    configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/demo.smk"
include: "workflow/rules/ingest.smk"
include: "workflow/rules/brain.smk"
include: "workflow/rules/quality.smk"
include: "workflow/rules/chest.smk"
include: "workflow/rules/pairs.smk"
include: "workflow/rules/dataset.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/sweep.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/biomarkers.smk"
include: "workflow/rules/credibility.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/record.smk"
include: "workflow/rules/start.smk"


report: "workflow/report/workflow.rst"


localrules:
    all,


rule all:
    default_target: True
    input:
        study.results(),
        "results/report/index.html",
        rules.record_run.output,
