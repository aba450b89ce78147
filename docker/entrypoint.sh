#!/bin/sh
# One role for each container; further arguments go to the program that it stands for.
set -eu

usage() {
  echo "usage: worker-waldur | worker-headnode | beat | flower | check | shell [ARGUMENT...]" >&2
  exit 2
}

[ $# -gt 0 ] || usage
role=$1
shift
# exec: the program gets the container's signals, so that a stop lets a running task end
case $role in
  worker-waldur)
    exec celery -A slurm_tasks worker --queues="${CELERY_WALDUR_QUEUE:-waldur}" \
      --hostname=control@%h --concurrency=2 --loglevel=INFO "$@"
    ;;
  worker-headnode)
    exec celery -A slurm_tasks worker --queues="${CELERY_HEADNODE_QUEUE:-headnode}" \
      --hostname=headnode@%h --concurrency=1 --loglevel=INFO "$@"
    ;;
  beat)
    exec celery -A slurm_tasks beat --schedule=/var/lib/waldur-slurm-tasks/schedule --pidfile= \
      --loglevel=INFO "$@"
    ;;
  flower) exec slurm-tasks flower "$@" ;;
  check) exec slurm-tasks check "$@" ;;
  shell) exec /bin/sh "$@" ;;
  *) usage ;;
esac
