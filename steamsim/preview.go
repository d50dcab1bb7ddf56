package steamsim

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
)

// preview is the image of an item or collection: a sky, a skyline and a moon in
// colours of its own. It is a PNG for one in four, a JPEG otherwise.
func preview(id uint64) []byte {
	const width, height = 268, 151
	hue := mix(id, 40)
	pic := image.NewRGBA(image.Rect(0, 0, width, height))
	moonX, moonY := 30+int(mix(id, 41)%200), 25+int(mix(id, 42)%30)
	for x := range width {
		roof := height - 20 - int(mix(id, 50+uint64(x/14))%60)
		for y := range height {
			c := color.RGBA{uint8(hue)/3 + uint8(y/2), uint8(hue>>8)/4 + uint8(y/3), uint8(hue>>16)/3 + uint8(y/2), 255}
			switch dx, dy := x-moonX, y-moonY; {
			case y > roof && (x%14 > 3 && x%14 < 8 && y%12 > 4 && y%12 < 9) && mix(id, uint64(x/14*100+y/12))%3 == 0:
				c = color.RGBA{230, 200, 120, 255}
			case y > roof:
				c = color.RGBA{18, 18, 24, 255}
			case dx*dx+dy*dy < 140:
				c = color.RGBA{235, 235, 220, 255}
			}
			pic.SetRGBA(x, y, c)
		}
	}
	var out bytes.Buffer
	if mix(id, 43)%4 == 0 {
		_ = png.Encode(&out, pic) // writing to memory does not fail
	} else {
		_ = jpeg.Encode(&out, pic, &jpeg.Options{Quality: 70}) // see above
	}
	return out.Bytes()
}
