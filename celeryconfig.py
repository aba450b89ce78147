"""Site overrides of Celery's settings.

Celery reads this file from the working directory of workers, beat and Flower (or the module that
CELERY_CONFIG_MODULE names). Every name assigned here wins over the service's own value, which
`slurm_tasks/celery_settings.py` derives from the environment variables in the README: the broker,
the two queues, the routes, time limits, the beat schedule. Nothing needs to stand here.

To change one part of a derived setting, start from it:

    from slurm_tasks.celery_settings import from_settings
    from slurm_tasks.settings import Service, load

    beat_schedule = from_settings(load(Service))["beat_schedule"]
    beat_schedule["usage"]["schedule"] = crontab(minute=10)
"""
