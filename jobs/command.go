package jobs

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"left4me/models"
)

// Command is something to tell a running game. Unlike a job it cannot be repeated:
// it reaches the game at most once, and never late.
type Command struct {
	Verb models.CommandVerb
	models.CommandArguments
}

// Command stores what a game is to be told, as by, and wakes a worker. The answer
// comes on TopicCommands. Whose server it is, the caller has checked. Input that no
// game takes is a *models.InvalidError.
func (c *Client) Command(ctx context.Context, by models.Actor, s *models.Server, cmd Command) (*models.ConsoleCommand, error) {
	list, err := c.Commands(ctx, by, s, cmd)
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// Commands is Command for several that follow each other: all of them are stored or
// none is.
func (c *Client) Commands(ctx context.Context, by models.Actor, s *models.Server, list ...Command) ([]*models.ConsoleCommand, error) {
	var rows []*models.ConsoleCommand
	err := c.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		rows = nil
		for _, cmd := range list {
			row, err := models.InsertCommand(ctx, tx, by, s, cmd.Verb, cmd.CommandArguments)
			if err != nil {
				return err
			}
			rows = append(rows, row)
		}
		return nil
	})
	if err != nil || c.rdb == nil {
		return rows, err
	}
	after, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer stop()
	c.control(after, Control{Command: rows[0].ID})
	if err := c.publish(after, Message{Topics: []string{TopicCommands(s.ID)}, Change: true}); err != nil {
		c.log.WarnContext(after, "could not announce a command", "server", s.Instance, "err", err)
	}
	return rows, nil
}
