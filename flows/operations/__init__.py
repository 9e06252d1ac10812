"""One machine's platform: its servers and workers, deployments, automations, status, backup.

Not called `platform`: Prefect puts the folder of a flow's file in front of the path, where it would hide the standard library's.
"""
