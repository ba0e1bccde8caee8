"""Rehearsals"""

from alembic import op
import sqlalchemy as sa

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('rehearsals',
    sa.Column('service', sa.Text(), nullable=False),
    sa.Column('made_at', sa.Float(), nullable=False),
    sa.Column('data', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('service', 'made_at', name=op.f('pk_rehearsals'))
    )


def downgrade() -> None:
    op.drop_table('rehearsals')
