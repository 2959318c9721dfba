"""Deals from a file: into the tenant's oldest pipeline, by the names of its stages."""

from services.sales.deals.resource import DEALS
from services.sales.pipelines.rules import DEFAULT_NAME, default_stage_values
from shared.imports.target import Check, Derived, ImportField, ImportTarget, Lookup

# Parameters and tables as `shared.imports.target` says.
_PIPELINE = """
    (SELECT p.id FROM pipelines p WHERE p.tenant_id = $1 AND p.deleted_at IS NULL ORDER BY p.created_at, p.id LIMIT 1)
"""
_STAGES = f"""
    SELECT st ->> 'name', (st ->> 'id')::uuid FROM pipelines p, jsonb_array_elements(p.stages) st
    WHERE p.tenant_id = $1 AND p.id = {_PIPELINE}
"""
_KIND = f"""
    (SELECT st ->> 'kind' FROM pipelines p, jsonb_array_elements(p.stages) st
     WHERE p.tenant_id = $1 AND p.id = {_PIPELINE} AND (st ->> 'id')::uuid = s.stage_id)
"""
_DEFAULT_STAGES = ", ".join(
    f"jsonb_build_object('id', uuidv7(), 'name', '{name}', 'kind', '{kind}', 'probability', {probability})"
    for name, kind, probability in default_stage_values()
)
_MAKE_PIPELINE = f"""
    INSERT INTO pipelines (tenant_id, id, name, stages)
    SELECT $1, uuidv7(), '{DEFAULT_NAME}', jsonb_build_array({_DEFAULT_STAGES})
    WHERE NOT EXISTS (SELECT FROM pipelines WHERE tenant_id = $1 AND deleted_at IS NULL)
    ON CONFLICT DO NOTHING
"""
# Nobody changes the stages while deals come into them.
_HOLD_PIPELINE = "SELECT FROM pipelines WHERE tenant_id = $1 AND deleted_at IS NULL FOR SHARE"
_PRODUCTS = """
    SELECT wanted.name, p.id FROM (SELECT DISTINCT product AS name FROM staged) wanted
    JOIN products p ON p.tenant_id = $1 AND p.deleted_at IS NULL AND lower(p.name) = lower(wanted.name)
"""
_REPS = """
    SELECT wanted.name, min(r.id::text)::uuid FROM (SELECT DISTINCT rep AS name FROM staged) wanted
    JOIN sales_reps r ON r.tenant_id = $1 AND r.deleted_at IS NULL AND lower(r.name) = lower(wanted.name)
    GROUP BY wanted.name
"""
# A deal came into its stage on the day it was closed, or else engaged; history only ever goes forward.
_HISTORY = """
    INSERT INTO deal_stage_changes (tenant_id, id, changed_at, principal, deal_id, from_pipeline_id, from_stage_id,
        from_stage_name, from_stage_kind, to_pipeline_id, to_stage_id, to_stage_name, to_stage_kind)
    SELECT $1, uuidv7(),
        greatest(coalesce(d.closed_on, d.engaged_on)::timestamptz, last.changed_at + interval '1 microsecond',
                 CASE WHEN coalesce(d.closed_on, d.engaged_on) IS NULL THEN now() END),
        $3, d.id, last.to_pipeline_id, last.to_stage_id, last.to_stage_name, last.to_stage_kind,
        d.pipeline_id, d.stage_id, st ->> 'name', st ->> 'kind'
    FROM merged m
    JOIN deals d ON d.tenant_id = $1 AND d.id = m.id
    JOIN pipelines p ON p.tenant_id = $1 AND p.id = d.pipeline_id
    JOIN LATERAL jsonb_array_elements(p.stages) st ON (st ->> 'id')::uuid = d.stage_id
    LEFT JOIN LATERAL (SELECT c.* FROM deal_stage_changes c WHERE c.tenant_id = $1 AND c.deal_id = d.id
                       ORDER BY c.changed_at DESC LIMIT 1) last ON true
    WHERE last.to_stage_id IS DISTINCT FROM d.stage_id
"""
_STAGE_INSTANT = """
    UPDATE deals d SET stage_changed_at = last.changed_at
    FROM (SELECT c.deal_id, max(c.changed_at) AS changed_at FROM merged m
          JOIN deal_stage_changes c ON c.tenant_id = $1 AND c.deal_id = m.id GROUP BY c.deal_id) last
    WHERE d.tenant_id = $1 AND d.id = last.deal_id AND d.stage_changed_at <> last.changed_at
"""

DEAL_IMPORT = ImportTarget(
    resource=DEALS,
    fields={
        "name": ImportField(column="name"),
        "account_id": ImportField("id", "account_id"),
        "product": ImportField(),
        "rep": ImportField(),
        "stage": ImportField(required=True),
        "amount": ImportField("money", "amount"),
        "engaged_on": ImportField("date", "engaged_on"),
        "closed_on": ImportField("date"),
        "loss_reason": ImportField(max_length=100_000),
    },
    lookups=(
        Lookup("stage", "stage_id", "stage in the pipeline", _STAGES),
        Lookup("product", "product_id", "product", _PRODUCTS),
        Lookup("rep", "rep_id", "sales rep", _REPS),
    ),
    derived=(
        Derived("pipeline_id", ("stage",), _PIPELINE),
        Derived("status", ("stage",), _KIND),
        Derived(
            "closed_on",
            ("stage",),
            f"CASE WHEN {_KIND} <> 'open' THEN coalesce(s.closed_on, s.engaged_on, current_date::text)::date END",
        ),
        Derived("loss_reason", ("loss_reason",), f"CASE WHEN {_KIND} = 'lost' THEN s.loss_reason END"),
    ),
    checks=(
        Check(
            "closed_on",
            "deal_is_open",
            "an open deal has no closing date",
            f"s.closed_on IS NOT NULL AND {_KIND} = 'open'",
        ),
        Check(
            "closed_on",
            "before_engagement",
            "a deal cannot close before it was engaged",
            "s.closed_on::date < s.engaged_on::date",
        ),
    ),
    before=(_MAKE_PIPELINE, _HOLD_PIPELINE),
    after=(_HISTORY, _STAGE_INSTANT),
    defaults={"stage_changed_at": "now()"},
)
