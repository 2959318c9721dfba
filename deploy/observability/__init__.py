"""What watches the suite: Prometheus' rules, Alertmanager's routes, Grafana's dashboards, the collector's pipeline.

    objectives     what is promised per route, and how fast a broken promise alarms whom
    burn_rules     the promises as Prometheus rules
    panels         Grafana's dashboards from the descriptions in dashboards/

`python -m deploy.observability` writes what follows from them (prometheus/rules/objectives.yaml and
grafana/dashboards/); everything else here is written by hand.
"""
