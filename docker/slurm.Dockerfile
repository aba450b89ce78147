# The service's image with SLURM's client programs and munge, for a head-node worker that is not on
# the head node (helm/waldur-slurm-tasks, `headnode`):
#   docker build --file docker/slurm.Dockerfile --tag waldur-slurm-tasks-slurm .

# the service's image, from docker/Dockerfile
ARG IMAGE=waldur-slurm-tasks
FROM ${IMAGE}
# a cluster accepts clients of its own version: trixie has 24.11; name your repository's packages
# after adding it to the image, if it is another
ARG PACKAGES="munge slurm-client"
USER 0:0
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ${PACKAGES} \
 && rm -rf /var/lib/apt/lists/*
USER 10001:10001
