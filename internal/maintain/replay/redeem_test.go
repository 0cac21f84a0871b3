package replay

import "testing"

// The delivery of a redemption whose link does not fit a slot is not judged.
func TestManyLinks(t *testing.T) {
	r := New()
	r.redeemed.add()
	r.awaitDelivery(int(position))
	r.seq = 1
	r.deliveredBy(0, &deliveryPart{})
	if r.Found() != 0 {
		t.Error(r.Findings())
	}
	r.redeemed.add()
	r.awaitDelivery(int(position) - 1)
	if *r.redeemed.at(1)&foreign != 0 || *r.redeemed.at(1)&position != position {
		t.Errorf("the last link that fits: %x", *r.redeemed.at(1))
	}
}
