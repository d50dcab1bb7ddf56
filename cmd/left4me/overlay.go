package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"left4me/jobs"
	"left4me/models"
)

type overlayCommand struct {
	Seed overlaySeed `cmd:"" help:"Make shared script overlays of the *.sh files in a folder, or bring those that are there up to date."`
}

type overlaySeed struct {
	Dir string `arg:"" placeholder:"DIR" help:"Folder with the scripts. The first comment line \"# name: …\" of a script names its overlay; without one the file does."`
	As  string `placeholder:"ADMIN" help:"The administrator in whose name it is done. Default: the system."`
	userOptions
}

// maxSeeds bounds the scripts of one folder.
const maxSeeds = 200

// seed is one script of the folder.
type seed struct{ file, name, script string }

// Run makes and refreshes overlays. Running it again changes nothing. A script that
// cannot be used is named and stops none of the others.
func (s *overlaySeed) Run(ctx context.Context, c *console) error {
	seeds, err := readSeeds(s.Dir) // before root is given up: the folder may be its own
	if err != nil {
		return err
	}
	db, err := s.open(ctx, c)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // the process ends
	by, err := s.actor(ctx, db)
	if err != nil {
		return err
	}
	failed := 0
	queue := jobs.NewClient(db, nil, slog.New(slog.DiscardHandler)) // rows only: the worker finds them within a second
	for _, one := range seeds {
		said, err := one.plant(ctx, queue, by)
		if err != nil {
			failed++
			_, _ = fmt.Fprintf(c.err, "%s: %s\n", one.file, err) // the end says how many
			continue
		}
		c.say("%s: %s", one.file, said)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d scripts could not be used; what is wrong stands above", failed, len(seeds))
	}
	return nil
}

func (s *overlaySeed) actor(ctx context.Context, db *bun.DB) (models.Actor, error) {
	if s.As == "" {
		return models.Actor{}, nil
	}
	u, err := models.UserByName(ctx, db, s.As)
	switch {
	case errors.Is(err, models.ErrNotFound):
		return models.Actor{}, fmt.Errorf("there is no user %s", s.As)
	case err != nil:
		return models.Actor{}, err
	case !u.Admin || !u.Active:
		return models.Actor{}, fmt.Errorf("%s is no administrator, and shared overlays are changed by administrators only", u.Name)
	}
	return models.Actor{ID: u.ID, Name: u.Name}, nil
}

// readSeeds reads the folder's scripts in the order of their names.
func readSeeds(dir string) ([]seed, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder with the scripts: %w", err)
	}
	defer func() { _ = root.Close() }() // read only; nothing can be lost
	files, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*.sh"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	switch {
	case len(files) == 0:
		return nil, fmt.Errorf("there is no script (*.sh) in %s", dir)
	case len(files) > maxSeeds:
		return nil, fmt.Errorf("there are %d scripts in %s; at most %d can be taken at once", len(files), dir, maxSeeds)
	}
	seeds := make([]seed, 0, len(files))
	names := map[string]string{}
	for _, file := range files {
		one, err := readSeed(root, filepath.Base(file))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		key := strings.ToLower(one.name)
		if other := names[key]; other != "" {
			return nil, fmt.Errorf("%s and %s are both named “%s”; give one of them another “# name:” line", other, one.file, one.name)
		}
		names[key] = one.file
		seeds = append(seeds, one)
	}
	return seeds, nil
}

// escapeGlob makes a folder's name mean nothing but itself.
func escapeGlob(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

func readSeed(root *os.Root, file string) (seed, error) {
	f, err := root.Open(file)
	if err != nil {
		return seed{}, err
	}
	defer func() { _ = f.Close() }() // read only; nothing can be lost
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return seed{}, errors.New("it is not a regular file")
	}
	raw, err := io.ReadAll(io.LimitReader(f, models.MaxScriptBytes+1))
	if err != nil {
		return seed{}, err
	}
	script := strings.ReplaceAll(string(raw), "\r\n", "\n")
	return seed{file: file, name: seedName(script, file), script: script}, nil
}

// seedName is the value of the first "# name:" among the comments that a script
// begins with, or the file's name.
func seedName(script, file string) string {
	lines := bufio.NewScanner(strings.NewReader(script))
	for lines.Scan() {
		comment, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "#")
		if !ok {
			break
		}
		if name, ok := strings.CutPrefix(strings.TrimSpace(comment), "name:"); ok && strings.TrimSpace(name) != "" {
			return strings.TrimSpace(name)
		}
	}
	return strings.TrimSuffix(file, ".sh")
}

// plant makes the overlay, or gives the one of that name the script, and has it
// built if that changed anything. It says what it did.
func (s seed) plant(ctx context.Context, queue *jobs.Client, by models.Actor) (said string, err error) {
	list, err := queue.EnqueueWith(ctx, by, func(ctx context.Context, tx bun.Tx) ([]jobs.Args, error) {
		o, err := models.SharedOverlayByName(ctx, tx, s.name)
		action := "overlay.edit"
		switch {
		case errors.Is(err, models.ErrNotFound):
			action = "overlay.create"
			o = &models.Overlay{Name: s.name, Kind: models.OverlayScript, Definition: models.OverlayDefinition{Script: s.script}}
			err = models.CreateOverlay(ctx, tx, o)
			said = fmt.Sprintf("made the overlay “%s” (%d)", o.Name, o.ID)
		case err != nil:
		case o.Kind != models.OverlayScript:
			return nil, fmt.Errorf("the shared overlay “%s” is no script; rename it, or give the script another “# name:” line", o.Name)
		case o.Definition.Script == s.script:
			said = fmt.Sprintf("the overlay “%s” (%d) has this script already", o.Name, o.ID)
			return nil, nil
		default:
			o.Definition.Script = s.script
			err = models.UpdateOverlay(ctx, tx, o)
			said = fmt.Sprintf("gave the overlay “%s” (%d) the new script", o.Name, o.ID)
		}
		if err != nil {
			return nil, err
		}
		return []jobs.Args{jobs.BuildOverlay{OverlayID: o.ID, Why: "Its script came from " + s.file + "."}}, models.Audit(ctx, tx, by, action, o.Subject(), o.Name)
	})
	if err != nil {
		return "", err
	}
	for _, j := range list {
		said += fmt.Sprintf("; job %d builds it", j.ID)
	}
	return said + ".", nil
}
