#!/bin/bash
# A real SLURM for the tests: one loopback-only node from a Debian suite, in a folder of its
# own (chroot), without systemd.  bookworm: 22.05, trixie: 24.11, forky: 26.05.
#
#   cluster.sh up SUITE             boot; every cold boot is a new, empty cluster.  Does nothing
#                                   when it runs; starts what is missing when it half runs
#   cluster.sh down SUITE           stop all of it
#   cluster.sh status SUITE         what runs; exit 0 all of it, 3 not all
#   cluster.sh stop|start SUITE munge|mariadb|slurmdbd|slurmctld|slurmd
#   cluster.sh slurmdbd SUITE [OPTION=VALUE...]
#                                   restart slurmdbd with these options beside its own; `up`
#                                   takes them away again
#   cluster.sh nodes SUITE 1|2      restart SLURM with so many nodes; `up` goes back to one
#   cluster.sh bootstrap SUITE      only make the root filesystem (also part of `up`)
#   cluster.sh purge SUITE          stop, and remove the root filesystem
#
# Needs root (chroot, mount, mknod), debootstrap (installed with apt when missing) and a
# reachable Debian mirror for the first boot.  In the environment:
#   SLURM_TESTS_CACHE   where the clusters live (/var/cache/waldur-slurm-tasks-tests):
#                       SUITE/root, SUITE/bin (client wrappers), SUITE/*.lock, SUITE/install.log
#   SLURM_TESTS_PORT    the first of 30 ports on 127.0.0.1 (21810)
#   DEBIAN_MIRROR       where to bootstrap from (the first one of this machine's apt sources)
#
# The wrappers in SUITE/bin (sacctmgr, sacct, squeue, ...; getent, mkhomedir_helper) pass
# arguments, environment and open file descriptors on; SLURM_LAB_USER=alice (bob, carol, dave)
# runs one as that user.  `sql` is a database client with all rights.
#
# Whoever needs the cluster for itself holds a lock (flock) on SUITE/use.lock meanwhile, as
# tests/support/clusters.py does; this script itself only guards its own steps (SUITE/boot.lock).
set -euo pipefail

readonly RECIPE=1        # raise it when PACKAGES change: older roots are made again
readonly LAB=/lab        # configuration, state and logs, as seen inside
readonly NODE=node1 SECOND=node2 CLUSTER=lab
readonly DAEMONS=(munge mariadb slurmdbd slurmctld slurmd)   # in the order of starting
readonly CLIENTS=(/usr/bin/{sacctmgr,sacct,scancel,squeue,scontrol,sinfo,sbatch,sreport,sshare,srun}
  /usr/bin/getent /usr/sbin/mkhomedir_helper)
readonly MORE='# besides:'   # what follows it in slurmdbd.conf is there for a while only
readonly USERS=(alice bob carol dave)
readonly PACKAGES=(slurmctld slurmdbd slurmd slurm-client slurm-wlm-mysql-plugin munge
  mariadb-server mariadb-client procps tzdata)
readonly SOCKET=$LAB/run/db/mysqld.sock

INSIDE=("SLURM_CONF=$LAB/etc/slurm.conf")   # the environment inside
# shellcheck source=tests/clusters/debian.sh
. "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

usage() { sed -n '5,16s/^#  *//p' "$0" >&2; exit 2; }

set_paths() {  # SUITE
  SUITE=$1
  HOST=$(hostname -s)
  case $SUITE in
    bookworm) PORT=0 ;;
    trixie) PORT=10 ;;
    forky) PORT=20 ;;
    *) fail "unknown suite '$SUITE': bookworm, trixie or forky" ;;
  esac
  PORT=$((${SLURM_TESTS_PORT:-21810} + PORT))
  BASE=$(cache)
  mkdir -p "$BASE/$SUITE/bin"
  BIN=$BASE/$SUITE/bin ROOT=$BASE/$SUITE/root INSTALL_LOG=$BASE/$SUITE/install.log
  enter "$ROOT"
}

wait_for() {  # SECONDS COMMAND...
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || fail "timed out waiting for: $* (logs in $ROOT$LAB/log)"
    sleep 0.05
  done
}

# ---------------------------------------------------------------- the root filesystem

is_complete() { [ "$(cat "$ROOT/.recipe" 2>/dev/null)" = "$RECIPE" ]; }

prepare_root() {  # ROOT: users, keys, and what every new cluster starts from
  local uid=2000 user
  for user in "${USERS[@]}"; do
    uid=$((uid + 1))
    in_root useradd -m -s /bin/bash -u "$uid" "$user"
  done
  head -c 1024 /dev/urandom >"$1/etc/munge/munge.key"
  in_root chown munge:munge /etc/munge/munge.key
  chmod 400 "$1/etc/munge/munge.key"
  mkdir -p "$1$LAB"/{etc,run,log,fakegpu}
  in_root install -d -o mysql -g mysql -m 755 $LAB/run/db $LAB/db.new
  in_root mariadb-install-db --no-defaults --user=mysql --datadir=$LAB/db.new --skip-test-db \
    --auth-root-authentication-method=socket --innodb-log-file-size=16M
  # One device for each GPU: a node whose GPUs have no File= comes up INVAL.
  local gpu
  for gpu in 0 1 2 3; do mknod -m 666 "$1$LAB/fakegpu/gpu$gpu" c 1 3; done
}

make_root() {  # PARTIAL
  unpack "$1" "$SUITE"
  mount_all "$1"
  enter "$1"
  install_packages "$1" "${PACKAGES[@]}"
  prepare_root "$1"
  unmount_all "$1"
  echo "$RECIPE" >"$1/.recipe"
}

bootstrap() {  # a finished root appears with one rename; what was left half-made is made again
  is_complete && return
  local partial=$ROOT.partial
  : >"$INSTALL_LOG"
  ensure_debootstrap
  stop_all
  remove_root "$partial"
  remove_root "$ROOT"
  # A new shell, because `set -e` is off inside `if` and `||`.
  bash "$0" make-root "$SUITE" >>"$INSTALL_LOG" 2>&1 || {
    tail -n 8 "$INSTALL_LOG" >&2
    unmount_all "$partial"
    fail "could not bootstrap $SUITE: $INSTALL_LOG"
  }
  mv "$partial" "$ROOT"
  enter "$ROOT"
}

# ---------------------------------------------------------------- the daemons

pid_file() {  # DAEMON: as seen inside
  case $1 in
    munge) echo /run/munge/munged.pid ;;
    mariadb) echo $LAB/run/db/mariadbd.pid ;;
    slurmd) echo $LAB/run/slurmd.pid ;;
    second) echo $LAB/run/slurmd2.pid ;;   # the second node's slurmd
    *) echo "$LAB/run/slurm/$1.pid" ;;
  esac
}

is_inside() { [ "$(readlink "/proc/$1/root" 2>/dev/null)" = "$ROOT" ]; }   # PID

pid_of() {  # DAEMON: its pid, if that process lives, and lives inside
  local file pid
  file=$ROOT$(pid_file "$1")
  [ -s "$file" ] || return 1
  pid=$(tr -dc 0-9 <"$file")
  [ -n "$pid" ] && is_inside "$pid" && echo "$pid"
}

is_running() { pid_of "$1" >/dev/null; }

all_running() {
  local daemon
  for daemon in "${DAEMONS[@]}"; do is_running "$daemon" || return 1; done
}

none_running() {
  local daemon
  for daemon in "${DAEMONS[@]}"; do if is_running "$daemon"; then return 1; fi; done
}

spawn() {  # NAME COMMAND...
  local log=$ROOT$LAB/log/$1.out
  shift
  setsid "${IN[@]}" "$@" </dev/null >>"$log" 2>&1 9>&- &
}

# 5 s fail a look that is repeated; what is done once may take longer on a busy disk (LIMIT=60).
client() { timeout "${LIMIT:-5}" "$BIN/$1" "${@:2}" 9>&-; }

stop_pid() {  # PID SECONDS: before it is killed
  local end=$((SECONDS + $2))
  kill "$1" 2>/dev/null || true
  while is_inside "$1"; do
    if [ "$SECONDS" -ge "$end" ]; then kill -9 "$1" 2>/dev/null || true; fi
    sleep 0.05
  done
}

stop_daemon() {  # DAEMON
  local pid
  if pid=$(pid_of "$1"); then stop_pid "$pid" 15; fi
  rm -f "$ROOT$(pid_file "$1")"
}

stop_all() {  # at once: nothing of it is kept
  local daemon pid process
  [ -d "$ROOT" ] || return 0
  for daemon in "${DAEMONS[@]}" second; do
    if pid=$(pid_of "$daemon"); then stop_pid "$pid" 0; fi
    rm -f "$ROOT$(pid_file "$daemon")"
  done
  for process in /proc/[0-9]*; do   # steps of jobs outlive slurmd
    if is_inside "${process#/proc/}"; then stop_pid "${process#/proc/}" 0; fi
  done
}

start_daemon() {  # DAEMON
  is_running "$1" || "launch_$1"
  "await_$1"
}

launch_munge() {
  in_root install -d -o munge -g munge -m 755 /run/munge
  rm -f "$ROOT"/run/munge/*
  in_root runuser -u munge -- /usr/sbin/munged --num-threads=4 9>&-
}
await_munge() { wait_for 10 timeout 5 "${IN[@]}" munge -n; }

launch_mariadb() {
  local options=()
  # ON by default since MariaDB 11.6.2, and slurmdbd ends at the first write conflict.
  if in_root /usr/sbin/mariadbd --no-defaults --user=mysql --verbose --help 2>/dev/null |
    grep -c '^ *--innodb-snapshot-isolation' >/dev/null; then
    options+=(--innodb-snapshot-isolation=OFF)
  fi
  spawn mariadb /usr/sbin/mariadbd --no-defaults --user=mysql --datadir=$LAB/db --socket=$SOCKET \
    --pid-file="$(pid_file mariadb)" --bind-address=127.0.0.1 --port=$((PORT + 3)) \
    --skip-name-resolve --innodb-buffer-pool-size=256M --innodb-log-file-size=16M \
    --innodb-lock-wait-timeout=900 --max-allowed-packet=64M --innodb-flush-log-at-trx-commit=2 \
    --innodb-doublewrite=0 --log-error=$LAB/log/mariadb.log "${options[@]}"
}
await_mariadb() { wait_for 60 client sql -e 'select 1'; }

launch_slurmdbd() { spawn slurmdbd /usr/sbin/slurmdbd -D; }
await_slurmdbd() {
  wait_for 60 client sacctmgr -n list cluster
  if is_running slurmctld; then
    # One that met slurmdbd while that was ending doesn't try again: this is the operator's part.
    (wait_for 20 slurmctld_is_registered) 2>/dev/null || client scontrol reconfigure
    wait_for 60 slurmctld_is_registered
  fi
}

launch_slurmctld() { spawn slurmctld /usr/sbin/slurmctld -D; }
await_slurmctld() {
  wait_for 30 controller_answers
  wait_for 60 slurmctld_is_registered
}
controller_answers() { client scontrol ping | grep -q 'is UP'; }
slurmctld_is_registered() {  # slurmdbd can tell it about new associations; it knows the GPUs
  has_registered &&
    client sacctmgr -nP show cluster "$CLUSTER" format=controlport | grep -qvx 0 &&
    client sacctmgr -nP show tres format=type,name | grep -qx 'gres|gpu'
}
has_registered() {  # the port is kept over a restart, but since 24.11 slurmdbd tells nobody by it
  [ "$SUITE" = bookworm ] || client sacctmgr show stats | grep DBD_REGISTER_CTLD
}

launch_slurmd() { spawn slurmd /usr/sbin/slurmd -D -N $NODE; }
await_slurmd() { wait_for 30 node_is_usable $NODE; }
node_is_usable() { client sinfo -h -n "$1" -o %T | grep -Eqx 'idle|mixed|allocated'; }

launch_second() { spawn slurmd2 /usr/sbin/slurmd -D -N $SECOND -f $LAB/etc/second.conf; }
await_second() { wait_for 30 node_is_usable $SECOND; }

# ---------------------------------------------------------------- a new cluster

check_ports() {
  local port
  for port in $((PORT)) $((PORT + 1)) $((PORT + 2)) $((PORT + 3)) $((PORT + 4)); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      fail "port $port is taken (SLURM_TESTS_PORT chooses others)"
    fi
  done
}

new_state() {
  rm -rf --one-file-system "${ROOT:?}$LAB"/{db,run,log,spool,etc}
  mkdir -p "$ROOT$LAB"/{etc,run,log,spool/ctld,spool/slurmd}
  chmod 755 "$ROOT$LAB" "$ROOT$LAB"/{etc,run,log,spool}
  in_root install -d -o mysql -g mysql -m 755 $LAB/run/db
  in_root install -d -o slurm -g slurm -m 755 $LAB/run/slurm
  in_root chown slurm:slurm $LAB/log $LAB/spool/ctld
  cp -a "$ROOT$LAB/db.new" "$ROOT$LAB/db"
}

write_configuration() {
  cp /etc/hosts /etc/resolv.conf "$ROOT/etc/"
  echo "$HOST" >"$ROOT/etc/hostname"
  write_slurmdbd_conf
  write_slurm_conf
  local cgroups=disabled
  [ "$SUITE" != bookworm ] || cgroups=cgroup/v1   # 22.05 must have one; this one needs no mount
  echo "CgroupPlugin=$cgroups" >"$ROOT$LAB/etc/cgroup.conf"
  echo "NodeName=$NODE Name=gpu File=$LAB/fakegpu/gpu[0-3]" >"$ROOT$LAB/etc/gres.conf"
  chmod 644 "$ROOT$LAB"/etc/{slurm,gres,cgroup}.conf
}

write_slurmdbd_conf() {  # [OPTION=VALUE...]
  cat >"$ROOT$LAB/etc/slurmdbd.conf" <<CONF
AuthType=auth/munge
DbdHost=$HOST
DbdAddr=127.0.0.1
DbdPort=$((PORT + 2))
SlurmUser=slurm
DebugLevel=info
LogFile=$LAB/log/slurmdbd.log
PidFile=$(pid_file slurmdbd)
CommunicationParameters=NoInAddrAny
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((PORT + 3))
StorageUser=slurm
StoragePass=lab
StorageLoc=slurm_acct_db
CONF
  if [ $# -gt 0 ]; then printf '%s\n' "$MORE" "$@" >>"$ROOT$LAB/etc/slurmdbd.conf"; fi
  in_root chown slurm:slurm $LAB/etc/slurmdbd.conf
  chmod 600 "$ROOT$LAB/etc/slurmdbd.conf"   # slurmdbd refuses anything else
}

node_line() {  # NAME PORT [MORE]
  echo "NodeName=$1 NodeHostname=$HOST NodeAddr=127.0.0.1 Port=$2 CPUs=32 Boards=1" \
    "SocketsPerBoard=2 CoresPerSocket=16 ThreadsPerCore=1 RealMemory=128000 ${*:3} State=UNKNOWN"
}

write_slurm_conf() {  # [NODES]
  local nodes=$NODE more=
  if [ "${1:-1}" = 2 ]; then nodes=$NODE,$SECOND more=$(node_line $SECOND $((PORT + 4))); fi
  cat >"$ROOT$LAB/etc/slurm.conf" <<CONF
ClusterName=$CLUSTER
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=$PORT
SlurmdPort=$((PORT + 1))
SlurmUser=slurm
AuthType=auth/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=$LAB/spool/ctld
SlurmdSpoolDir=$LAB/spool/slurmd
SlurmctldPidFile=$(pid_file slurmctld)
SlurmdPidFile=$(pid_file slurmd)
SlurmctldLogFile=$LAB/log/slurmctld.log
SlurmdLogFile=$LAB/log/slurmd.log
SlurmctldDebug=info
SlurmdDebug=info
ProctrackType=proctrack/linuxproc
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=5
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
PriorityType=priority/multifactor
PriorityDecayHalfLife=0
PriorityUsageResetPeriod=MONTHLY
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((PORT + 2))
AccountingStorageEnforce=associations,limits,qos
AccountingStorageTRES=gres/gpu,gres/gpu:1g.5gb+me,license/matlab@flex,bb/scratch
GresTypes=gpu
SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_interval=1
KillWait=2
MinJobAge=5
$(node_line $NODE $((PORT + 1)) Gres=gpu:4)
$more
PartitionName=main Nodes=$nodes Default=YES MaxTime=INFINITE DefMemPerCPU=1000 State=UP TRESBillingWeights="CPU=1.0,Mem=0.25G,GRES/gpu=4.0"
CONF
}

write_wrapper() {  # NAME COMMAND...: in the quoting of sh
  local name=$1
  shift
  printf '#!/bin/sh\nexec chroot %s "$@"\n' "$*" >"$BIN/.$name"
  chmod 755 "$BIN/.$name"
  mv "$BIN/.$name" "$BIN/$name"   # one rename: it may be running
}

write_wrappers() {
  local program
  for program in "${CLIENTS[@]}"; do
    # shellcheck disable=SC2016  # expands in the wrapper
    write_wrapper "${program##*/}" '${SLURM_LAB_USER:+--userspec=$SLURM_LAB_USER}' "'$ROOT'" \
      /usr/bin/env "SLURM_CONF=$LAB/etc/slurm.conf" "$program"
  done
  write_wrapper sql "'$ROOT'" /usr/bin/mariadb --no-defaults -S $SOCKET -uroot
}

new_database() {
  LIMIT=60 client sql -e "CREATE DATABASE IF NOT EXISTS slurm_acct_db;
    CREATE USER IF NOT EXISTS 'slurm'@'127.0.0.1' IDENTIFIED BY 'lab';
    GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';"
}

register_cluster() {  # slurmctld ends when slurmdbd doesn't know its cluster
  LIMIT=60 client sacctmgr -nP list cluster format=cluster | grep -qx $CLUSTER ||
    LIMIT=60 client sacctmgr -i add cluster $CLUSTER >/dev/null
}

# ---------------------------------------------------------------- commands

up() {
  bootstrap
  # A cluster of an older version of this script may be running.
  [ -x "$BIN/${CLIENTS[-1]##*/}" ] || write_wrappers
  all_running || start_missing
  if grep -qx "$MORE" "$ROOT$LAB/etc/slurmdbd.conf"; then slurmdbd; fi
  if grep -q "^NodeName=$SECOND " "$ROOT$LAB/etc/slurm.conf"; then nodes 1; fi
}

slurmdbd() {  # [OPTION=VALUE...]
  write_slurmdbd_conf "$@"
  stop_daemon slurmdbd
  start_daemon slurmdbd
}

nodes() {  # 1|2
  write_slurm_conf "$1"
  local daemon
  for daemon in second slurmd slurmctld; do stop_daemon $daemon; done
  for daemon in slurmctld slurmd; do start_daemon $daemon; done
  [ "$1" = 2 ] || return 0
  mkdir -p "$ROOT$LAB/spool/slurmd2"
  sed -E 's,/slurmd(\.pid|\.log)?$,/slurmd2\1,' "$ROOT$LAB/etc/slurm.conf" >"$ROOT$LAB/etc/second.conf"
  start_daemon second
}

start_missing() {
  mount_all "$ROOT"
  if none_running; then
    stop_all    # stale pid files and left-over steps
    check_ports
    new_state
    write_configuration
    write_wrappers
  fi
  start_daemon munge
  start_daemon mariadb
  new_database
  start_daemon slurmdbd
  register_cluster
  start_daemon slurmctld
  start_daemon slurmd
}

down() {
  stop_all
  if [ -d "$ROOT" ]; then unmount_all "$ROOT"; fi
}

status() {
  local daemon pid missing=0
  for daemon in "${DAEMONS[@]}"; do
    if pid=$(pid_of "$daemon"); then
      echo "$daemon: running, pid $pid"
    else
      echo "$daemon: stopped"
      missing=3
    fi
  done
  echo "ports: $PORT-$((PORT + 3)); clients: $BIN; logs: $ROOT$LAB/log"
  return "$missing"
}

purge() {
  down
  remove_root "$ROOT"
  remove_root "$ROOT.partial"
  rm -rf "$BIN" "$INSTALL_LOG"
}

check_daemon() {  # DAEMON
  [[ " ${DAEMONS[*]} " == *" $1 "* ]] || usage
  [ -d "$ROOT" ] || fail "no such cluster yet: cluster.sh up $SUITE"
}

main() {
  [ $# -ge 2 ] || usage
  [ "$(id -u)" = 0 ] || fail "needs root"
  set_paths "$2"
  case $1 in
    make-root) make_root "$ROOT.partial" ;;   # by bootstrap, which holds the lock
    status) status ;;
    up | down | bootstrap | purge)
      lock "$BASE/$SUITE/boot.lock"
      "$1"
      ;;
    slurmdbd)
      check_daemon slurmdbd
      lock "$BASE/$SUITE/boot.lock"
      slurmdbd "${@:3}"
      ;;
    nodes)
      [[ "${3:-}" == [12] ]] || usage
      check_daemon slurmd
      lock "$BASE/$SUITE/boot.lock"
      nodes "$3"
      ;;
    stop | start)
      check_daemon "${3:-}"
      lock "$BASE/$SUITE/boot.lock"
      "$1_daemon" "$3"
      ;;
    *) usage ;;
  esac
}

main "$@"
