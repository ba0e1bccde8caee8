"""What looks rested on"""

from alembic import op
import sqlalchemy as sa

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('looks', schema=None) as batch_op:
        batch_op.add_column(sa.Column('record', sa.Text(), nullable=True))

    op.create_table('provisional_calibrations',
    sa.Column('watch_id', sa.Text(), nullable=False),
    sa.Column('digest', sa.Text(), nullable=False),
    sa.Column('made_at', sa.Float(), nullable=False),
    sa.Column('data', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['watch_id'], ['watches.id'], name=op.f('fk_provisional_calibrations_watch_id')),
    sa.PrimaryKeyConstraint('watch_id', 'digest', name=op.f('pk_provisional_calibrations'))
    )
    op.create_table('replaced_points',
    sa.Column('watch_id', sa.Text(), nullable=False),
    sa.Column('signal', sa.Text(), nullable=False),
    sa.Column('at', sa.Float(), nullable=False),
    sa.Column('replaced_at', sa.Float(), nullable=False),
    sa.Column('absent', sa.Integer(), nullable=False),
    sa.Column('value', sa.Float(), nullable=True),
    sa.Column('total', sa.Float(), nullable=True),
    sa.ForeignKeyConstraint(['watch_id'], ['watches.id'], name=op.f('fk_replaced_points_watch_id')),
    sa.PrimaryKeyConstraint('watch_id', 'signal', 'at', 'replaced_at', name=op.f('pk_replaced_points'))
    )


def downgrade() -> None:
    op.drop_table('replaced_points')
    op.drop_table('provisional_calibrations')
    with op.batch_alter_table('looks', schema=None) as batch_op:
        batch_op.drop_column('record')
