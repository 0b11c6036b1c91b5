"""What watches the programs: alert rules and a dashboard, made of the list of metrics. `python -m deploy.monitoring`"""
