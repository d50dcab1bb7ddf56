package hostops

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/recipes"
)

// fileRelease is where a recipe says what it installed. It is not part of the
// version.
const fileRelease = ".release"

// maxRelease bounds that text, in bytes.
const maxRelease = 200

// buildManaged makes a version by a recipe that is shipped with left4me.
func buildManaged(h *Host, ctx context.Context, b *build) error {
	recipe, known := recipes.Find(b.spec.Recipe)
	if !known {
		return fail(ctl.ErrBadSpec, "there is no recipe %q; this l4d2ctl has %s", b.spec.Recipe, strings.Join(recipeNames(), ", "))
	}
	env, err := recipes.Environment(recipe, b.spec.Options)
	if err != nil {
		return err
	}
	script, err := recipes.Script(recipe.Name)
	if err != nil {
		return err
	}
	return h.runScript(ctx, b, script, env, func(out *os.Root) error {
		b.report.Release = takeRelease(out)
		err := out.Remove(fileRelease)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

func recipeNames() []string {
	var names []string
	for _, r := range recipes.All() {
		names = append(names, r.Name)
	}
	return names
}

// takeRelease reads what a recipe says of itself; anything odd is nothing.
func takeRelease(out *os.Root) string {
	f, err := out.OpenFile(fileRelease, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close() // read only; nothing can be lost
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	text, err := io.ReadAll(io.LimitReader(f, maxRelease))
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(strings.ToValidUTF8(string(text), ""), "\n")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, line))
}
