# Brain MRI, volume by volume, in the paper's order (section 3.2). A volume's sidecar is made with it
# and declared nowhere (see pipeline/stage/sidecar.py).


rule convert_series:
    input:
        study.scan,
    output:
        intermediate(volume("convert")),
    log:
        volume_log("convert"),
    benchmark:
        volume_benchmark("convert")
    wildcard_constraints:
        dataset=one_of(study.volumes),
    conda:
        PYTHON_ENV
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        version=STAGES["convert"].version,
        engine_version=study.converter_version,
        state=study.scan_state,
    shell:
        "python -m pipeline convert {input:q} {output:q}"
        " --minutes {resources.runtime} --threads {threads} --log {log:q}"


rule accept_volume:
    input:
        image=study.raw_volume,
        mask=study.mask,
        template=study.template_file,
    output:
        intermediate(volume(ENTRY)),
    log:
        volume_log(ENTRY),
    benchmark:
        volume_benchmark(ENTRY)
    wildcard_constraints:
        dataset=one_of(study.through(ENTRY)),
    conda:
        PYTHON_ENV
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        version=STAGES["accept"].version,
        state=study.raw_state,
        prepared=study.prepared,
        mask=study.mask_option,
        template=study.template_option,
    shell:
        "python -m pipeline accept {input.image:q} {output:q} --prepared {params.prepared}"
        " {params.mask:q} {params.template:q}"
        " --minutes {resources.runtime} --threads {threads} --log {log:q}"


rule orient_volume:
    input:
        study.raw_volume,
    output:
        intermediate(volume("orient")),
    log:
        volume_log("orient"),
    benchmark:
        volume_benchmark("orient")
    wildcard_constraints:
        dataset=one_of(study.through("orient")),
    conda:
        study.engine_env("orient", ENVIRONMENT)
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        version=STAGES["orient"].version,
        state=study.raw_state,
        engine=study.engine("orient"),
        engine_version=study.engine_version("orient"),
    shell:
        "python -m pipeline orient {input:q} {output:q}"
        " --engine {params.engine} --minutes {resources.runtime} --threads {threads} --log {log:q}"


rule crop_volume:
    input:
        study.after("orient"),
    output:
        intermediate(volume("crop")),
    log:
        volume_log("crop"),
    benchmark:
        volume_benchmark("crop")
    wildcard_constraints:
        dataset=one_of(study.through("crop")),
    conda:
        study.engine_env("crop", ENVIRONMENT)
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        version=STAGES["crop"].version,
        engine=study.engine("crop"),
        engine_version=study.engine_version("crop"),
    shell:
        "python -m pipeline crop {input:q} {output:q}"
        " --engine {params.engine} --minutes {resources.runtime} --threads {threads} --log {log:q}"


rule correct_bias:
    input:
        study.after("crop"),
    output:
        intermediate(volume("bias")),
    log:
        volume_log("bias"),
    benchmark:
        volume_benchmark("bias")
    wildcard_constraints:
        dataset=one_of(study.through("bias")),
    conda:
        study.engine_env("bias", ENVIRONMENT)
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        version=STAGES["bias"].version,
        engine=study.engine("bias"),
        engine_version=study.engine_version("bias"),
    shell:
        "python -m pipeline bias {input:q} {output:q}"
        " --engine {params.engine} --minutes {resources.runtime} --threads {threads} --log {log:q}"


rule register_template:
    input:
        image=study.after("bias"),
        template=study.template_file,
    output:
        intermediate(volume("template")),
    log:
        volume_log("template"),
    benchmark:
        volume_benchmark("template")
    wildcard_constraints:
        dataset=one_of(study.through("template")),
    conda:
        study.engine_env("template", ENVIRONMENT)
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        version=STAGES["template"].version,
        engine=study.engine("template"),
        engine_version=study.engine_version("template"),
        template=study.template_option,
        stripped=study.stripped_option,
    shell:
        "python -m pipeline template {input.image:q} {output:q} {params.template:q}"
        " {params.stripped}"
        " --engine {params.engine} --minutes {resources.runtime} --threads {threads} --log {log:q}"


rule strip_skull:
    input:
        study.after("template"),
    output:
        intermediate(volume("skull")),
    log:
        volume_log("skull"),
    benchmark:
        volume_benchmark("skull")
    wildcard_constraints:
        dataset=one_of(study.through("skull")),
    conda:
        study.engine_env("skull", ENVIRONMENT)
    resources:
        mem_mb=3000,
        runtime=20,
    params:
        version=STAGES["skull"].version,
        engine=study.engine("skull"),
        engine_version=study.engine_version("skull"),
    shell:
        "python -m pipeline skull {input:q} {output:q}"
        " --engine {params.engine} --minutes {resources.runtime} --threads {threads} --log {log:q}"


rule refine_skull:
    input:
        study.after("skull"),
    output:
        intermediate(volume("skull_refine")),
    log:
        volume_log("skull_refine"),
    benchmark:
        volume_benchmark("skull_refine")
    wildcard_constraints:
        dataset=one_of(study.through("skull_refine")),
    conda:
        study.engine_env("skull_refine", ENVIRONMENT)
    resources:
        mem_mb=3000,
        runtime=20,
    params:
        version=STAGES["skull_refine"].version,
        engine=study.engine("skull_refine"),
        engine_version=study.engine_version("skull_refine"),
        fraction=study.brain("bet_fraction"),
    shell:
        "python -m pipeline skull_refine {input:q} {output:q} --fraction {params.fraction}"
        " --engine {params.engine} --minutes {resources.runtime} --threads {threads} --log {log:q}"


rule resample_grid:
    input:
        study.after("skull_refine"),
    output:
        volume("grid"),
    log:
        volume_log("grid"),
    benchmark:
        volume_benchmark("grid")
    wildcard_constraints:
        dataset=one_of(study.through("grid")),
    conda:
        PYTHON_ENV
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        version=STAGES["grid"].version,
        voxel_mm=study.brain("voxel_mm"),
        shape=study.brain("shape"),
    shell:
        "python -m pipeline grid {input:q} {output:q} --voxel-mm {params.voxel_mm}"
        " --shape {params.shape} --minutes {resources.runtime} --threads {threads} --log {log:q}"


rule prepare_brain:
    input:
        study.all_volumes,
