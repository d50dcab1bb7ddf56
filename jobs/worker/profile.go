package worker

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"time"

	"left4me/hostops/ctl"
	"left4me/jobs"
	"left4me/models"
)

// Asking Steam about players, when there is a key.
const (
	profileEvery = 10 * time.Second // a batch of at most 100
	profileTime  = 2 * time.Minute
	keyRest      = time.Hour // a key that Steam refused is not tried before
)

// askProfiles asks Steam, now and then, for the names and pictures of players who were
// seen and of whom nobody asked for a day. Without a key it asks nobody.
func (w *Worker) askProfiles(ctx context.Context) {
	tick := time.NewTicker(profileEvery)
	defer tick.Stop()
	for {
		if err := w.askProfilesOnce(ctx); err != nil && ctx.Err() == nil {
			w.Log.WarnContext(ctx, "could not ask for players' profiles", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (w *Worker) askProfilesOnce(ctx context.Context) error {
	k, err := models.SteamWebKeyOf(ctx, w.DB, w.Key)
	if err != nil || k == nil || k.Problem != "" && w.now().Sub(k.ProblemAt) < keyRest {
		return err
	}
	due, err := models.ProfilesDue(ctx, w.DB, 100)
	if err != nil || len(due) == 0 {
		return err
	}
	told, problem, err := w.steamProfiles(ctx, k.Key, due)
	if err != nil {
		return err
	}
	if err := models.NoteSteamWebKey(ctx, w.DB, w.Key, k.Key, problem); err != nil || problem != "" {
		return err
	}
	if err := models.StoreProfiles(ctx, w.DB, due, told); err != nil {
		return err
	}
	w.publish(jobs.Message{Topics: []string{jobs.TopicPlayers()}, Change: true})
	return nil
}

// steamProfiles runs l4d2ctl; the key goes through its standard input. problem is what
// is wrong with the key, as a sentence for the administrator.
func (w *Worker) steamProfiles(ctx context.Context, key string, ids []string) (told []models.SteamProfile, problem string, err error) {
	ctx, stop := context.WithTimeout(ctx, profileTime)
	defer stop()
	var result *ctl.Result
	out := &lineWriter{each: func(line []byte) {
		switch e := ctl.Parse(line); {
		case e.Type == ctl.EventProfile && e.Profile != nil && len(told) < len(ids):
			told = append(told, models.SteamProfile{SteamID: e.Profile.SteamID, Name: e.Profile.Name, Avatar: e.Profile.Avatar})
		case e.Type == ctl.EventResult:
			result = e.Result
		}
	}}
	cmd := w.command(ctx, "--events=json", "steam", "profiles")
	cmd.Stdin, cmd.Stdout = strings.NewReader(key+"\n"+strings.Join(ids, "\n")+"\n"), out
	err = cmd.Run()
	out.close()
	reap(cmd)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return told, "", nil
	case !errors.As(err, &exit) || result == nil:
		return nil, "", err
	case errors.Is(ctl.FromExitCode(exit.ExitCode()), ctl.ErrSteam):
		return nil, result.Message, nil
	}
	return nil, "", errors.New(result.Message)
}
