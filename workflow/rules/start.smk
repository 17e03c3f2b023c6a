# What is looked at between planning and the first job: it depends on where the jobs run.

from pipeline.study.doctor import check_submission, check_trainings


def check_place():
    jobs = list(workflow.dag.needrun_jobs())
    if workflow.touch:
        return []
    if workflow.local_exec:
        train = not CONDA and any(job.resources.get("gpu", 0) for job in jobs)
        return check_trainings(config["device"]) if train else []
    jobs = [job for job in jobs if not job.is_local]
    paths = sorted({str(path) for job in jobs for path in job.input})
    slurm = workflow.executor_plugin.name == "slurm"
    partitions = {job.resources.get("slurm_partition") for job in jobs} - {None}
    return check_submission(paths, partitions if slurm else None)


onstart:
    # Planning is over (see common.smk): garbage counts again, the graph is none.
    gc.freeze()
    gc.enable()
    stop_if_wrong(check_place())
