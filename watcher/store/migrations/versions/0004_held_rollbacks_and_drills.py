"""Held rollbacks, and drills, which have no watch"""

from alembic import op
import sqlalchemy as sa

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None

_ROLLBACKS = sa.text("kind = 'rollback'")


def upgrade() -> None:
    with op.batch_alter_table('orders', schema=None) as batch_op:
        batch_op.add_column(sa.Column('held', sa.Text(), nullable=True))
        batch_op.alter_column('watch_id', existing_type=sa.Text(), nullable=True)
    op.create_index('ix_orders_rollbacks', 'orders', ['created_at'], sqlite_where=_ROLLBACKS, postgresql_where=_ROLLBACKS)


def downgrade() -> None:
    op.drop_index('ix_orders_rollbacks', 'orders')
    op.execute("delete from orders where watch_id is null")
    with op.batch_alter_table('orders', schema=None) as batch_op:
        batch_op.alter_column('watch_id', existing_type=sa.Text(), nullable=False)
        batch_op.drop_column('held')
