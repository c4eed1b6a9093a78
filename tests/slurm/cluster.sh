#!/bin/bash
# Start or stop a Slurm of one node with two slots on the loopback, for tests: cluster.sh start|stop DIR
#
# All it writes is in DIR. It needs no root, no cgroups and no accounting, and leaves a Slurm of the machine alone. After a start,
# `export SLURM_CONF=DIR/slurm.conf` is all that sbatch, srun and squeue need. Jobs go to the partition `debug`, two at a time.
# A job in `urgent` preempts one there: what srun started gets SIGCONT and SIGTERM at once, the whole job gets them again after
# GRACE seconds, and then it is killed and requeued.
#   GRACE=30           seconds from each of these to the next (Slurm looks every few seconds)
#   REQUEUE_DELAY=5    seconds until a requeued job may start again (Slurm's own default is 120)
#   PORT=16817         the first of two ports
# Exit codes: 0 done; 1 Slurm does not start; 2 wrong arguments; 77 Slurm is not installed.
set -eu
[ $# = 2 ] && [[ $1 = start || $1 = stop ]] || { echo "usage: $0 start|stop DIR" >&2; exit 2; }
PATH=$PATH:/usr/sbin:/sbin
dir=$(realpath -m "$2")
export SLURM_CONF=$dir/slurm.conf

write_conf() {
    local host user bind=
    host=$(uname -n) user=$(id -un)
    # Slurm listens on the address of the host's name or on all. Where that name is not 127.0.0.1, it has to be all.
    [[ $(getent ahostsv4 "$host") = "127.0.0.1 "* ]] && bind=CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
    host=${host%%.*}
    cat >"$SLURM_CONF" <<END
ClusterName=lth
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${PORT:-16817}
SlurmdPort=$((${PORT:-16817} + 1))
$bind
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket,cred_expire=${REQUEUE_DELAY:-5}
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=${GRACE:-30}
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=100000
PartitionName=debug Nodes=ALL Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=${GRACE:-30}
PartitionName=urgent Nodes=ALL PriorityTier=2 PreemptMode=OFF
END
}

launch() {
    munged --force --num-threads=2 --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
        --log-file="$dir/munged.log" --seed-file="$dir/munged.seed" && slurmctld -c && slurmd || return 1
    for _ in {1..60}; do
        [ "$(sinfo -h -p debug -o %T 2>/dev/null)" = idle ] && return
        sleep 0.5
    done
    return 1
}

start() {
    local name absent=
    for name in munged slurmctld slurmd sbatch; do command -v "$name" >/dev/null || absent+=" $name"; done
    if [ -n "$absent" ]; then
        echo "Slurm is not installed: there is no$absent; on Debian: apt-get install munge slurmctld slurmd slurm-client" >&2
        exit 77
    fi
    stop
    mkdir -p "$dir"/{state,spool}
    write_conf
    (umask 077 && head -c 128 /dev/urandom >"$dir/munge.key")
    launch && return
    echo "Slurm does not start; the last lines of its logs:" >&2
    tail -n 5 "$dir"/*.log >&2
    stop
    exit 1
}

running() { # NAME: print the process of that daemon
    local pid
    pid=$(cat "$dir/$1.pid" 2>/dev/null) && [[ $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") = "$1 "* ]] && echo "$pid"
}

stop_jobs() { # they would outlive slurmd; one that ignores SIGTERM is killed after GRACE
    for _ in {1..200}; do
        scancel --me
        [ -z "$(squeue -h)" ] && return
        sleep 0.2
    done
}

stop() {
    local name pid
    if running slurmctld >/dev/null; then stop_jobs || true; fi
    for name in slurmd slurmctld munged; do
        pid=$(running $name) || continue
        kill "$pid"
        for _ in {1..100}; do running $name >/dev/null || continue 2; sleep 0.1; done
        kill -KILL "$pid"
    done
}

"$1"
