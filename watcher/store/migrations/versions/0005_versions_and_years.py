"""Which programs may use the store, and indexes for years of watches"""

from alembic import op
import sqlalchemy as sa

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None

INDEXES = (
    ('ix_deploys_started_at', 'deploys', ['started_at']),
    ('ix_watches_ended_at', 'watches', ['ended_at']),
    ('ix_watches_service_environment_finished_at', 'watches', ['service', 'environment', 'finished_at']),
    ('ix_watches_state', 'watches', ['state']),
    ('ix_orders_kind_state', 'orders', ['kind', 'state']),
)


def upgrade() -> None:
    compatibility = op.create_table('compatibility',
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('value', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_compatibility'))
    )
    op.bulk_insert(compatibility, [{'name': 'oldest_program', 'value': '0004'}])
    for name, table, columns in INDEXES:
        op.create_index(op.f(name), table, columns)


def downgrade() -> None:
    for name, table, _ in INDEXES:
        op.drop_index(op.f(name), table_name=table)
    op.drop_table('compatibility')
