"""Which words mean a class of COCO: the list that the rule was chosen on, and another."""

from services.vision.service import new_expert

# Other words for a class, and what is no class: a narrower thing, a property, something else.
DEVELOPMENT = (
    "sofa;automobile;television;bike;motorbike;aeroplane;mobile phone;puppy;kitten;mug;doughnut;fridge;purse;rucksack;"
    "pony;human;ship;lorry;television set;soccer ball;cellphone;airplanes;bicycles;plane;wineglass;hair dryer;teddy",
    "dragon;a cat's mood;red car;happy person;tree;house;lamp;guitar;window;penguin;dog food;car park;phone number;"
    "book title;keyboard shortcut;unicorn;laptop battery;computer;man;fruit;bus stop;horse race;broken chair;tiger;fox;"
    "violin;blue bus;car insurance;apple pie;clock speed;mouse pad;orange juice;kite runner;pizza delivery",
)
REPORTED = (
    "tv set;hot dogs;smartphone;motor bike;goblet;couches;sheep;jet airplane;coffee cup;donuts;kitty;doggy;knives;"
    "scissor;stop signs;microwave oven;icebox;calf;bunch of bananas;cycle",
    "wolf;rabbit;tablet;a dog's breed;green apple;chair leg;train station;boat race;clock face;angry bird;hat;shoe;pen;"
    "tomato;helicopter;moon;person's age;toilet paper;wine bottle;traffic jam;baby;waterfall;open book;elephant trunk",
)


def measure() -> None:
    """Print how many words of each list are taken for a class, and which are wrong."""
    vocabulary = new_expert().vocabulary()
    for name, (same, other) in (("development", DEVELOPMENT), ("reported", REPORTED)):
        right = [word for word in same.split(";") if vocabulary.understand(word).object_class]
        wrong = [word for word in other.split(";") if vocabulary.understand(word).object_class]
        print(
            f"{name}: {len(right)} of {len(same.split(';'))} other words known, "
            f"{len(wrong)} of {len(other.split(';'))} things that are none taken for one {wrong}"
        )
