# What is looked at between planning and the first job: it depends on where the jobs run.


onstart:
    # Planning is over (see common.smk): garbage counts again, the graph is none.
    gc.freeze()
    gc.enable()
    if not workflow.touch:
        scheduler = None if workflow.local_exec else workflow.executor_plugin.name
        device = None if CONDA else study.config.device
        stop_if_wrong(check_jobs(workflow.dag.needrun_jobs(), scheduler, device))
