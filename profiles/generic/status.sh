# State of a PBS job in Snakemake's words: success, failed or running.
#   sh status.sh JOB
# Grid Engine: `qstat -j JOB` while it runs, `qacct -j JOB` after.
job=$(qstat -x -f "$1" 2>/dev/null) || { echo running; exit; }  # not known yet, or no answer
case $job in
  *"job_state = F"*"Exit_status = 0"* | *"Exit_status = 0"*"job_state = F"*) echo success ;;
  *"job_state = F"*) echo failed ;;
  *) echo running ;;
esac
