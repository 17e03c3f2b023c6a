# What is looked at between planning and the first job, since it depends on where the jobs run; and
# what is said after the last.


onstart:
    # Planning is over (see common.smk): garbage counts again, the graph is none.
    gc.freeze()
    gc.enable()
    if not workflow.touch:
        scheduler = None if workflow.local_exec else workflow.executor_plugin.name
        device = None if CONDA else study.config.device
        jobs = list(workflow.dag.needrun_jobs())
        stop_if_wrong(check_folder(jobs, study.datasets))
        stop_if_wrong(check_jobs(jobs, scheduler, device))


onsuccess:
    logger.info(closing_words(study.datasets))
