"""Lists of a service's watches, or of those in a state, newest first, without sorting all of them"""

from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index('ix_watches_state_created_at', 'watches', ['state', 'created_at'])
    op.create_index('ix_watches_service_created_at', 'watches', ['service', 'created_at'])


def downgrade() -> None:
    op.drop_index('ix_watches_service_created_at', table_name='watches')
    op.drop_index('ix_watches_state_created_at', table_name='watches')
