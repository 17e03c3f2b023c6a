# What the rules share: the checked configuration, settings on command lines, and path patterns.

import atexit
import gc
import json
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.settings.types import DeploymentMethod

from pipeline.stage import layout
from pipeline.brain.engines import CONDA_TOOLS, engine_table, resolve_engines
from pipeline.study.config import read_config
from pipeline.study.doctor import quick_checks, wrong
from pipeline.stage.errors import InputError

# The graph only grows while it is planned: looking for garbage in it again and again is in vain and
# takes long in one of thousands of volumes. Nor does anybody need it taken apart in the end.
gc.disable()
atexit.register(gc.freeze)

try:
    STUDY = read_config(config)
except InputError as error:
    raise WorkflowError(str(error)) from None

config = STUDY.effective()
DATASETS = config["datasets"]
SEEDS = config["seeds"]
PYTHON_ENV = "../../envs/python.yaml"
CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method


def stop_if_wrong(findings):
    mistakes = wrong(findings)
    if mistakes:
        raise WorkflowError("\n".join(map(str, mistakes)))


# What would certainly stop the run later; the command doctor looks at more.
if workflow.is_main_process:
    stop_if_wrong(quick_checks(packages=not CONDA))


def of_modality(organ):
    return [name for name, d in DATASETS.items() if d["modality"] == organ]


def resolved_engines(name):
    try:
        return resolve_engines(DATASETS[name]["brain"]["engines"], conda=CONDA)
    except InputError as error:
        raise WorkflowError(f"datasets.{name}.brain.engines: {error}") from None


ENGINES = {name: resolved_engines(name) for name in of_modality("brain")}
if ENGINES and workflow.is_main_process:
    logger.info(engine_table(ENGINES))


def one_of(names):
    """Pattern of a wildcard that is one of `names`; one that never matches when there are none."""
    return "|".join(names) or "(?!)"


DEMOS = [name for name, d in DATASETS.items() if d.get("demo") is not None]
FROM_SERVER = [n for n, d in DATASETS.items() if d.get("archive", {}).get("orthanc")]
MADE = [*DEMOS, *FROM_SERVER]  # archives that a job makes
COHORTS = [*of_modality("brain"), *of_modality("chest")]
WITH_FIELDS = [n for n, d in DATASETS.items() if "defi-gan" in d["training"]["methods"]]
DRAWN = [name for name in COHORTS if name in WITH_FIELDS]
KNOWN_FIELDS = [name for name in DEMOS if name in WITH_FIELDS]
TRUTH_TABLE = ["results/truth.csv"] if KNOWN_FIELDS else []
EXTENDED_TABLE = ["results/table1_extended.csv"] if COHORTS else []
BIOMARKERS = ["results/biomarkers.csv"] if DRAWN else []
BRAIN = one_of(of_modality("brain"))
FETCHED = one_of(FROM_SERVER)
CHEST = one_of(of_modality("chest"))
TOY = one_of(of_modality("image"))


wildcard_constraints:
    dataset=one_of(DATASETS),
    subject="[A-Za-z0-9]+",
    session="[A-Za-z0-9]+",
    baseline="[A-Za-z0-9]+",
    followup="[A-Za-z0-9]+",
    shard=r"\d+",
    method="va-gan|defi-gan",
    seed=r"\d+",
    factor=r"[\d.]+",
    case="best|median|worst|sub-[A-Za-z0-9]+",


# ---- settings ----


def as_json(settings):
    return json.dumps(settings, sort_keys=True)


def demo_settings(name):
    return as_json({k: v for k, v in DATASETS[name]["demo"].items() if k != "truth"})


def sweep_settings(wildcards):
    settings = STUDY.training_settings(
        wildcards.dataset, wildcards.method, config["sweep"]["seed"]
    )
    return as_json(settings | {"lambda": float(wildcards.factor) * settings["lambda"]})


def critic_source(wildcards):
    """Options that say where a critic's first weights come from."""
    weights = DATASETS[wildcards.dataset]["training"]["networks"]["critic_weights"]
    if isinstance(weights, dict):
        return [weights["file"], "--sha256", weights["sha256"]]
    return [weights]


def critic_weights(wildcards):
    """The file that the critic of a training starts from, where it does not start at random."""
    networks = DATASETS[wildcards.dataset]["training"]["networks"]
    if networks["critic_weights"] == "random":
        return []
    return f"results/{layout.critic_weights(wildcards.dataset)}"


def server_settings(wildcards):
    server = DATASETS[wildcards.dataset]["archive"]["orthanc"]
    return as_json({key: server[key] for key in ("url", "query")})


def server_paths(wildcards):
    """Folder of the films and options, of files that stay with the site."""
    dataset = DATASETS[wildcards.dataset]
    archive, key = dataset["archive"], dataset["labels"]["pseudonym_key"]
    patients = archive["orthanc"]["patients"]
    return [archive["films"], "--patients", patients, "--pseudonym-key", key]


def fetched_option(wildcards):
    if wildcards.dataset not in FROM_SERVER:
        return []
    return ["--fetched", f"results/{wildcards.dataset}/fetched.csv"]


def toy_settings(wildcards):
    return as_json(DATASETS[wildcards.dataset]["squares"])


def of_dataset(values):
    """What `values` holds for a job's data set; a constant where all data sets agree.

    A function is called for every job, which takes a tenth of the planning of thousands.
    """
    first = next(iter(values.values()), None)
    if all(value == first for value in values.values()):
        return first
    return lambda wildcards: values[wildcards.dataset]


def brain_settings(key):
    return of_dataset({n: DATASETS[n]["brain"][key] for n in of_modality("brain")})


def chest_settings(key):
    return of_dataset({n: DATASETS[n]["chest"][key] for n in of_modality("chest")})


# Of the configuration; the packaged one is part of the environment.
TEMPLATES = {n: DATASETS[n]["brain"]["template"] or [] for n in of_modality("brain")}


def template_file():
    return of_dataset(TEMPLATES) or []


def template_option():
    return of_dataset({n: t and ["--template", t] for n, t in TEMPLATES.items()})


def engine(stage):
    return of_dataset({name: found[stage].name for name, found in ENGINES.items()})


def engine_version(stage):
    """Not for the command: another version of the tool reruns the stage."""
    return of_dataset({name: found[stage].version for name, found in ENGINES.items()})


def engine_env(stage):
    """The environment that holds the engine."""

    def environment(name):
        return f"../../envs/{name}.yaml" if name in CONDA_TOOLS else PYTHON_ENV

    names = {name: found[stage].name for name, found in ENGINES.items()}
    return of_dataset({name: environment(tool) for name, tool in names.items()})


def mixed_engines_option(wildcards):
    mixed = DATASETS[wildcards.dataset]["brain"]["mixed_engines"]
    return "--mixed-engines" if mixed else ""


def review_settings(wildcards):
    """Options of the quality control's review."""
    dataset = DATASETS[wildcards.dataset]
    qc = dataset["qc"]
    lists = [
        part for key in ("keep", "drop") if qc[key] for part in (f"--{key}", qc[key])
    ]
    demo = ["--demo"] if wildcards.dataset in DEMOS else []
    return ["--source", dataset["source"], "--exclude", *qc["exclude"], *lists, *demo]


def cohort_settings(wildcards):
    """Options of the page of a cohort."""
    demo = ["--demo"] if wildcards.dataset in DEMOS else []
    source = DATASETS[wildcards.dataset]["source"]
    return ["--dataset", wildcards.dataset, "--source", source, *demo]


def train_settings(wildcards):
    return as_json(
        STUDY.training_settings(wildcards.dataset, wildcards.method, wildcards.seed)
    )


def resize_option(wildcards):
    """Films were resized on the way from the raw film; the true field has to follow them."""
    chest = DATASETS[wildcards.dataset].get("chest")
    return f"--resize {chest['resize']}" if chest else ""


def kind_of_data(name):
    if DATASETS[name]["source"] == "toy":
        return "toy"
    return "demo" if name in DEMOS else "real"


def table_settings():
    return as_json(
        {
            name: {"data": kind_of_data(name), "published": d["published"]}
            for name, d in DATASETS.items()
        }
    )


def attribution_settings(wildcards):
    return as_json(STUDY.datasets[wildcards.dataset].training.of_classifier())


def figure_settings(wildcards):
    dataset = DATASETS[wildcards.dataset]
    kept = {key: dataset["figures"][key] for key in ("colours", "details")}
    if wildcards.dataset in of_modality("brain"):
        kept["voxel_mm"] = dataset["brain"]["voxel_mm"]
    else:
        kept["resize"] = dataset["chest"]["resize"]
    return as_json({**kept, "demo": wildcards.dataset in DEMOS})


# ---- paths, with the wildcards of the rules ----


def volume(stage, session="{session}"):
    return f"results/{layout.volume('{dataset}', stage, '{subject}', session)}"


def intermediate(path):
    """A volume between two stages, which the configuration may want to be removed once used."""
    return path if config["keep_intermediates"] else temp(path)


def quality(suffix):
    return f"results/{layout.quality('{dataset}', '{subject}', '{session}', suffix)}"


def volume_log(stage, folder="logs", suffix="log"):
    return f"{folder}/{{dataset}}/{stage}/sub-{{subject}}_ses-{{session}}.{suffix}"


def volume_benchmark(stage):
    return volume_log(stage, "benchmarks", "tsv")


def pair(suffix):
    path = layout.pair("{dataset}", "{subject}", "{followup}", "{baseline}", suffix)
    return f"results/{path}"


def model(name):
    return f"results/{layout.model('{dataset}', '{method}', '{seed}', name)}"


def sweep_model(name):
    return f"results/{{dataset}}/sweep/{{method}}/factor-{{factor}}/{name}"


def on_sweep(pattern):
    """`pattern` for each data set, each of its methods and each factor on its lambda."""
    return [
        pattern.format(dataset=name, method=method, factor=factor)
        for name, dataset in DATASETS.items()
        for method in dataset["training"]["methods"]
        for factor in config["sweep"]["factors"]
    ]


def on_methods(pattern):
    """`pattern` for each data set, each of its methods and each seed."""
    return [
        pattern.format(dataset=name, method=method, seed=seed)
        for name, dataset in DATASETS.items()
        for method in dataset["training"]["methods"]
        for seed in SEEDS
    ]


def fields_of_seeds(wildcards):
    """The generators of DeFI-GAN of a data set, one a seed."""
    pattern = model("generator.safetensors")
    return expand(pattern, dataset=wildcards.dataset, method="defi-gan", seed=SEEDS)


def methods_of(wildcards):
    return list(DATASETS[wildcards.dataset]["training"]["methods"])


def figure(name, suffix):
    return f"results/{layout.figure('{dataset}', '{case}', name, suffix)}"


def figures():
    """Every picture of `draw_figures`."""
    return [
        figure(name, suffix).format(dataset=dataset, case=case)
        for dataset in DRAWN
        for case in figure_cases(dataset)
        for name in layout.FIGURES
        for suffix in ("png", "svg")
    ]


def figure_cases(dataset):
    subjects = DATASETS[dataset]["figures"]["subjects"]
    return [f"sub-{s}" for s in subjects] if subjects else ["best", "median", "worst"]


def models_of_dataset(wildcards):
    """The generators of a data set, method by method and seed by seed."""
    pattern = model("generator.safetensors")
    return [
        pattern.format(dataset=wildcards.dataset, method=method, seed=seed)
        for method in methods_of(wildcards)
        for seed in SEEDS
    ]


def truth_folder(wildcards):
    """True fields of a demonstration; nothing for real studies."""
    name = wildcards.dataset
    return DATASETS[name]["demo"]["truth"] if name in DEMOS else []


# ---- results ----

# What a run is for; its record tells where they come from, and the report shows both.
RESULTS = [
    "results/table1.csv",
    "results/table1.md",
    "results/overview.png",
    *TRUTH_TABLE,
    *EXTENDED_TABLE,
    *BIOMARKERS,
    *figures(),
    *(f"results/{name}/cohort.html" for name in COHORTS),
    *(f"results/{name}/qc.html" for name in of_modality("brain")),
    *(f"results/{name}/exclusions.csv" for name in DATASETS),
]
